"""Hashes of sentences, by which a model knows its training data without their text.

Two sentences are the same if their tokens (`likeness.tokens_of`) are: case, punctuation, accents and the cut into words
do not count. Sentences of fewer than SHORT tokens recur by chance and have no hash.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from fpplm_core.data.likeness import Tokens, tokens_of
from fpplm_core.data.overlap import SHORT
from fpplm_core.data.records import Sentence

BYTES = 8  # of a hash: with ten million sentences, one of 10,000 others is taken for one of them with p < 1e-8


def sentence_hash(tokens: Tokens) -> int:
    """A signed number of 64 bits."""
    content = "\0".join(tokens).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(content, digest_size=BYTES).digest(), "little", signed=True)


def sentence_hashes(sentences: Iterable[Sentence]) -> NDArray[np.int64]:
    """The hashes of these sentences, ascending, each once."""
    rows = (tokens_of(sentence.words) for sentence in sentences)
    return np.unique(np.fromiter((sentence_hash(row) for row in rows if len(row) >= SHORT), dtype=np.int64))
