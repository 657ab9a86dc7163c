"""Counts the letters of words by script."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fpplm_core.quality.columns import matching
from fpplm_core.tagging.scripts import script_of


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
