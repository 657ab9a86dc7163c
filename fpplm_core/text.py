"""Sentences of words, and how text becomes both.

`read_text` turns bytes into text or says why it cannot; `split_words` is the pre-tokeniser that serving
applies to plain text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from fpplm_core.errors import DataError


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words with their tags and where they stand.

    `tags` has one tag a word, in the scheme of the file; `lines` one 1-based line number a word; `document`
    counts the documents of a file from 0, or is None where the file marks none.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    file: str
    lines: tuple[int, ...]
    document: int | None = None


def read_text(path: Path | str) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises DataError for a path that is missing, is a folder, cannot be read, or holds bytes that are no text.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError("no such file", where=str(path), do="check the path in params.yaml (data.*)") from None
    except IsADirectoryError:
        raise DataError("a folder stands where a file is wanted", where=str(path), do="name the file") from None
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=str(path)) from None
    if b"\0" in raw[:65536]:
        raise DataError("not a text file (it holds zero bytes)", where=str(path), do="give UTF-8 text")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            "not valid UTF-8",
            where=f"{path}:{line}",
            got=f"byte 0x{raw[error.start]:02x}",
            do="convert it first, for instance: iconv -f latin1 -t utf8",
        ) from None


# `\w` leaves out combining marks, without which words of Hindi, Arabic or decomposed Latin would fall apart.
_MARKS = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M")
_IDEOGRAPH = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(
    rf"""
      ['’](?:s|re|ve|ll|d|m|t)\b                         # English clitics stand alone: John 's
    | [{_IDEOGRAPH}]                                     # Chinese and Japanese: a character is a word
    | (?:[^\W_{_IDEOGRAPH}][{_MARKS}]*)+                 # letters and digits with their marks,
      (?:[-.,:/@&+_](?:[^\W_{_IDEOGRAPH}][{_MARKS}]*)+)*   # joined inside: 1,000  e-mail  U.S
    | \S                                                # any other mark by itself
    """,
    re.VERBOSE | re.IGNORECASE,
)


def split_words(text: str) -> list[tuple[str, int, int]]:
    """Words of plain text as (word, start, end), in characters of `text`; nothing but white space is left out."""
    return [(match[0], *match.span()) for match in _WORD.finditer(text)]


def is_invisible(word: str) -> bool:
    """True where a word shows nothing: only control, format, separator or unassigned characters."""
    return all(unicodedata.category(char)[0] in "CZ" for char in word)
