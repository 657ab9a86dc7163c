"""Splits text into words: the pre-tokeniser of training on texts and of serving."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

from fpplm_core.errors import ParamsError

SHOWN = 60  # characters of a word that an error names
Range = tuple[int, int]  # start (included) and end (excluded), in characters
Segmenter = Callable[[str], Iterable[str]]  # a text to its words in order, such as jieba.lcut


# `\w` leaves out combining marks, without which words of Hindi, Arabic or decomposed Latin would fall apart.
# With them go the voicing marks of half-width Katakana, and what chooses a variant of an ideograph.
_MARKS = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M")
_MARKS += "\uff9e\uff9f\U000e0100-\U000e01ef"
# Scripts without spaces between words: Chinese and Japanese, Thai, Lao, Burmese, Khmer.
_UNSPACED = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d"
    "\U00020000-\U000323af\u0e00-\u0eff\u1000-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f\u1780-\u17ff"
)
_WORD = re.compile(
    rf"""
      ['’](?:s|re|ve|ll|d|m|t)\b                         # English clitics stand alone: John 's
    | [{_UNSPACED}][{_MARKS}]*                           # there, a character with its marks is a word
    | (?:[^\W_{_UNSPACED}][{_MARKS}]*)+                  # letters and digits with their marks,
      (?:[-.,:/@&+_](?:[^\W_{_UNSPACED}][{_MARKS}]*)+)*    # joined inside: 1,000  e-mail  U.S
    | \S                                                # any other mark by itself
    """,
    re.VERBOSE | re.IGNORECASE,
)


_NO_SPACE = re.compile(r"\S+")
_CHARACTER = re.compile(rf"\S[{_MARKS}]*")
# The name carries a version: a rule that splits differently gets a new name, and old bundles keep theirs.
UNICODE, WHITESPACE, CHARACTERS = "unicode-1", "whitespace-1", "characters-1"
_PATTERNS = {UNICODE: _WORD, WHITESPACE: _NO_SPACE, CHARACTERS: _CHARACTER}
RULES = tuple(_PATTERNS)
OWN = "own"  # instead of a rule: words from a user's segmenter, which must be passed to serving


def segment(text: str, rule: str = UNICODE) -> list[Range]:
    """(start, end) of each word, in characters of `text`, from left to right; only white space is left out.

    unicode-1     letters with their marks, digits and what joins them; one character where a script has no spaces
    whitespace-1  what stands between white space
    characters-1  every character with its marks

    The rules are closed: no name makes this function import code. Raises KeyError for another name.
    """
    return [match.span() for match in _PATTERNS[rule].finditer(text)]


def segment_with(text: str, segmenter: Segmenter, where: str) -> list[Range]:
    """(start, end) of each word that a segmenter gives, without the white space at their edges.

    Raises ParamsError, naming `where` the segmenter comes from, if it fails, or if its words are not those of the text
    in order, with nothing but white space between them.
    """
    ranges, end = [], 0
    for word in _words(text, segmenter, where):
        start = text.find(word, end)
        if start < 0 or text[end:start].strip():
            raise ParamsError("the segmenter's words are not those of the text", where=where, got=repr(word[:SHOWN]))
        end = start + len(word)
        ranges.append(strip_range(text, start, end))
    if text[end:].strip():
        raise ParamsError("the segmenter omits the end of the text", where=where, got=repr(text[end:][:SHOWN]))
    return [(start, end) for start, end in ranges if start < end]


def _words(text: str, segmenter: Segmenter, where: str) -> list[str]:
    try:
        words = list(segmenter(text))
    except Exception as error:  # user code may raise anything
        raise ParamsError("the segmenter failed", where=where, got=repr(error)[:SHOWN]) from error
    for word in words:
        if not isinstance(word, str):
            raise ParamsError("the segmenter returned something other than words", where=where, got=repr(word)[:SHOWN])
    return words


def strip_range(text: str, start: int, end: int) -> Range:
    """The same range without the white space at its edges; empty if there is nothing else in it."""
    inside = text[start:end]
    start += len(inside) - len(inside.lstrip())
    return start, start + len(inside.strip())


def is_invisible(word: str) -> bool:
    """Whether a word shows nothing: it has only control, format, separator or unassigned characters."""
    return all(unicodedata.category(char)[0] in "CZ" for char in word)
