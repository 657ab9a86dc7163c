"""Scripts of letters, as Unicode names them; Hiragana and Katakana together are Kana."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex
from numpy.typing import NDArray

from fpplm_core.quality.columns import matching

OTHER = "other"
NAMES = (
    *("Latin", "Greek", "Cyrillic", "Armenian", "Hebrew", "Arabic", "Devanagari", "Bengali", "Gurmukhi", "Gujarati"),
    *("Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Thai", "Lao", "Tibetan", "Myanmar", "Georgian"),
    *("Hangul", "Ethiopic", "Khmer", "Mongolian", "Han"),
)
_SCRIPT = regex.compile(
    "|".join([*(rf"(?P<{name}>\p{{Script={name}}})" for name in NAMES), r"(?P<Kana>[\p{Hiragana}\p{Katakana}])"])
)

SCRIPTS = (*NAMES, "Kana", OTHER)


@lru_cache(100_000)
def script_of(char: str) -> str | None:
    """The script of a letter; None for any other character."""
    if not char.isalpha():
        return None
    found = _SCRIPT.match(char)
    return OTHER if found is None else found.lastgroup


def letters(words: pa.StringArray) -> dict[str, NDArray[np.int64]]:
    """The number of letters of each word, by script; Latin is always present."""
    latin = pc.count_substring_regex(words, "[A-Za-z]").to_numpy(zero_copy_only=False).astype(np.int64)
    found = {"Latin": latin}
    for row in np.flatnonzero(matching(words, "[^\\x00-\\x7f]")).tolist():
        for script, number in _counted(words[row].as_py()).items():
            found.setdefault(script, np.zeros(len(words), dtype=np.int64))[row] += number
    return found


@lru_cache(100_000)
def _counted(word: str) -> Counter[str]:
    """The number of non-ASCII letters of a word, by script."""
    return Counter(script for char in word if not char.isascii() and (script := script_of(char)))
