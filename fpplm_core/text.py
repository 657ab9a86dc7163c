"""Sentences of words, and how text becomes both.

`read_lines` turns bytes into text, line by line, or says why it cannot; `split_words` is the pre-tokeniser that
serving applies to plain text.
"""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fpplm_core.errors import DataError

HEAD = 65536  # bytes at a file's beginning that are searched for zeros


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


def read_lines(path: Path | str) -> Iterator[str]:
    """The lines of a UTF-8 file as a stream, without their newlines and without a byte order mark.

    Raises DataError for a path that is missing, is a folder, cannot be read, or holds bytes that are no text.
    """
    path = Path(path)
    try:
        with io.BufferedReader(io.FileIO(path), HEAD) as stream:
            if b"\0" in stream.peek(HEAD):
                raise DataError("not a text file (it holds zero bytes)", where=str(path), do="give UTF-8 text")
            for number, raw in enumerate(stream, start=1):  # bytes are cut at newlines alone, str also elsewhere
                yield _decode(raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw, f"{path}:{number}")
    except FileNotFoundError:
        raise DataError("no such file", where=str(path), do="check the path in params.yaml (data.*)") from None
    except IsADirectoryError:
        raise DataError("a folder stands where a file is wanted", where=str(path), do="name the file") from None
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=str(path)) from None


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise DataError(
            "not valid UTF-8",
            where=where,
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
