"""Scripts of letters, as Unicode names them; Hiragana and Katakana together are Kana."""

from __future__ import annotations

from functools import lru_cache

import regex

OTHER = "other"
_NAMES = (
    *("Latin", "Greek", "Cyrillic", "Armenian", "Hebrew", "Arabic", "Devanagari", "Bengali", "Gurmukhi", "Gujarati"),
    *("Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Thai", "Lao", "Tibetan", "Myanmar", "Georgian"),
    *("Hangul", "Ethiopic", "Khmer", "Mongolian", "Han"),
)
SCRIPTS = (*_NAMES, "Kana", OTHER)
_SCRIPT = regex.compile(
    "|".join([*(rf"(?P<{name}>\p{{Script={name}}})" for name in _NAMES), r"(?P<Kana>[\p{Hiragana}\p{Katakana}])"])
)


@lru_cache(100_000)
def script_of(char: str) -> str | None:
    """The script of a letter; None for any other character."""
    if not char.isalpha():
        return None
    found = _SCRIPT.match(char)
    return OTHER if found is None else found.lastgroup
