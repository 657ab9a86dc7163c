"""The rank of a sentence, by which samples and splits are drawn.

It is a hash of a seed and of the words, so that a draw is random, depends neither on the order of the sentences nor on
their tags, and changes little when sentences are added: the lowest ranks win (bottom-k sampling, Cohen & Kaplan 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

BYTES = 8
RANKS = 2 ** (8 * BYTES)  # the number of different ranks


def rank_of(words: Sequence[str], seed: int) -> int:
    """A number in [0, RANKS)."""
    content = "\0".join(words).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(content, digest_size=BYTES, key=str(seed).encode()).digest(), "big")
