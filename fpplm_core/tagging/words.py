"""How text becomes words: the pre-tokeniser of training on texts and of serving."""

from __future__ import annotations

import importlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import cast

from fpplm_core.errors import ParamsError

SHOWN = 60  # characters of a word that an error names
Range = tuple[int, int]  # start (included) and end (excluded), in characters


# `\w` leaves out combining marks, without which words of Hindi, Arabic or decomposed Latin would fall apart.
# With them go the voicing marks of half-width Katakana, and what chooses a variant of an ideograph.
_MARKS = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M")
_MARKS += "\uff9e\uff9f\U000e0100-\U000e01ef"
# Scripts without blanks between words: Chinese and Japanese, Thai, Lao, Burmese, Khmer.
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


def split_words(text: str) -> list[tuple[str, int, int]]:
    """Words of plain text as (word, start, end), in characters of `text`; nothing but white space is left out."""
    return [(match[0], *match.span()) for match in _WORD.finditer(text)]


_BLANKS = re.compile(r"\S+")
_CHARACTER = re.compile(rf"\S[{_MARKS}]*")


def segment(text: str, rule: str = "rules") -> list[Range]:
    """(start, end) of each word, in characters of `text`, from left to right; white space alone is left out.

    rules       `split_words`, for any language: a character is a word where a script has no blanks
    blanks      what stands between white space
    characters  every character with its marks
    MODULE:NAME a function from a text to its words in order, as jieba:lcut; what it leaves out must be white space

    Raises ParamsError where there is no such rule or function, it fails, or its words are not those of the text.
    """
    if rule == "rules":
        return [(start, end) for _, start, end in split_words(text)]
    if rule in ("blanks", "characters"):
        return [match.span() for match in (_BLANKS if rule == "blanks" else _CHARACTER).finditer(text)]
    where = f"data.words: {rule}"
    found, place = [], 0
    for word in _segmented(text, rule):
        start = text.find(word, place)
        if start < 0 or text[place:start].strip():
            raise ParamsError("a segmenter's words are not those of the text", where=where, got=repr(word[:SHOWN]))
        place = start + len(word)
        found.append(strip_range(text, start, place))
    if text[place:].strip():
        got = repr(text[place:][:SHOWN])
        raise ParamsError("a segmenter leaves out the end of a text", where=where, got=got)
    return [(start, end) for start, end in found if start < end]


def strip_range(text: str, start: int, end: int) -> Range:
    """The same range without the white space at its edges, empty where there is nothing else in it."""
    inside = text[start:end]
    start += len(inside) - len(inside.lstrip())
    return start, start + len(inside.strip())


def _segmented(text: str, rule: str) -> list[str]:
    function = _segmenter(rule)
    try:
        words = list(function(text))
    except Exception as error:  # it is not ours: whatever it raises
        raise ParamsError("a segmenter fails", where=f"data.words: {rule}", got=repr(error)[:SHOWN]) from error
    for word in words:
        if not isinstance(word, str):
            raise ParamsError("a segmenter gives no words", where=f"data.words: {rule}", got=repr(word)[:SHOWN])
    return words


@lru_cache
def _segmenter(rule: str) -> Callable[[str], Iterable[str]]:
    module, _, name = rule.partition(":")
    try:
        return cast(Callable[[str], Iterable[str]], getattr(importlib.import_module(module), name))
    except Exception as error:  # a module that is imported may raise anything
        do = "use rules, blanks, characters, or MODULE:FUNCTION of an installed segmenter"
        reason = " ".join(str(error).split())
        raise ParamsError(f"no such rule for words ({reason})", where="data.words", got=repr(rule), do=do) from None


def is_invisible(word: str) -> bool:
    """True where a word shows nothing: only control, format, separator or unassigned characters."""
    return all(unicodedata.category(char)[0] in "CZ" for char in word)
