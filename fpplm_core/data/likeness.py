"""How much two texts have in common, whatever their case, punctuation, accents and tokenisation.

Texts are compared as sequences of tokens: runs of letters and digits, normalised. Scripts that write no blanks between
words are compared letter by letter, because every tool cuts their words differently.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

ALIKE = 0.75  # least share of the shorter text's tokens: one in four may differ
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")

Tokens = tuple[str, ...]


def tokens_of(words: Sequence[str]) -> Tokens:
    """The tokens of a text; the words themselves if none has a letter or digit."""
    return tuple(token for word in words for token in _tokens(word)) or tuple(words)


@lru_cache(10_000)
def _tokens(word: str) -> Tokens:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    return tuple(_TOKEN.findall("".join(c for c in plain if unicodedata.category(c) not in ("Mn", "Me", "Cf"))))


def likeness(one: Tokens, other: Tokens) -> float:
    """The share of the shorter text's tokens that a stretch of the longer one has in the same order.

    The stretch has the shorter text's length and room for 1 - ALIKE more tokens at each end. Only stretches that share
    two neighbouring tokens are compared.
    """
    short, long = sorted((one, other), key=len)
    room = allowed(len(short))
    places: dict[Tokens, list[int]] = {}
    for place in range(len(short) - 1):
        places.setdefault(short[place : place + 2], []).append(place)
    begins = {there - here for there in range(len(long) - 1) for here in places.get(long[there : there + 2], ())}
    stretches = ((max(0, begin - room), begin + len(short) + room) for begin in begins)
    return max((common(short, long[begin:end]) for begin, end in stretches), default=0) / max(1, len(short))


def allowed(tokens: int) -> int:
    """How many tokens of a text may differ."""
    return int((1 - ALIKE) * tokens)


def common(one: Tokens, other: Tokens) -> int:
    """The length of the longest common subsequence, by bit vectors (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for number, token in enumerate(one):
        places[token] = places.get(token, 0) | 1 << number
    missing = whole = (1 << len(one)) - 1
    for token in other:
        matched = missing & places.get(token, 0)
        missing = ((missing + matched) | (missing - matched)) & whole
    return len(one) - missing.bit_count()
