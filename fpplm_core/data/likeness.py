"""How much two texts have in common, whatever their case, punctuation, accents and tokenisation.

Texts are compared as sequences of tokens: runs of letters and digits, normalised. Scripts that write no blanks between
words are compared letter by letter, because every tool cuts their words differently.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

ALIKE = 0.75  # least share of the shorter text's tokens: one in four may differ
# Fewer ranges than those of tagging/words.py. Adding the others would change tokens, and with them stored hashes.
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


def are_alike(one: Tokens, other: Tokens) -> bool:
    """Whether a stretch of the longer text has at least ALIKE of the shorter text's tokens, in the same order.

    The stretch has the shorter text's length and room for 1 - ALIKE more tokens at each end. Only stretches that share
    two neighbouring tokens are compared, those that share most of them first.
    """
    short, long = sorted((one, other), key=len)
    size, room = len(short), allowed(len(short))
    places: dict[Tokens, list[int]] = {}
    for place in range(size - 1):
        places.setdefault(short[place : place + 2], []).append(place)
    pairs = ((there, here) for there in range(len(long) - 1) for here in places.get(long[there : there + 2], ()))
    begins = Counter(there - here for there, here in pairs)

    def one_has_enough(begins: list[int]) -> bool:
        """Whether one of the stretches that begin at these places, which ascend, has enough tokens of the short text.

        If they are close together, the part of the long text that spans them all is compared first: no stretch in it
        has more.
        """
        first, last = max(0, begins[0] - room), begins[-1] + size + room
        close = len(begins) == 1 or last - first < len(begins) * (size + 2 * room)
        if close and common(short, long[first:last]) < ALIKE * size:
            return False
        half = len(begins) // 2
        return not half or one_has_enough(begins[:half]) or one_has_enough(begins[half:])

    likely = [begin for begin, _ in begins.most_common(1)]
    return bool(likely) and (one_has_enough(likely) or one_has_enough(sorted(begins)))


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
