"""Sentences that are nearly alike: MinHash and locality-sensitive hashing find them, a comparison proves them.

The similarity of two sentences is the Jaccard index of their pairs of neighbouring words, in lower case. Each sentence
gets a signature of PERMUTATIONS numbers; the probability that two signatures agree in a number equals the similarity.
Sentences that share a band of numbers are candidates, at most LOOKED_AT earlier ones per band, so that time is linear
even if thousands are alike; the candidate with the most similar signature is compared exactly. So no reported pair is
false, and few are missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rensa import RMinHash

from fpplm_core.quality.columns import Numbers, distinct, ends, hashes

PERMUTATIONS, SEED = 64, 1
FOUND = 0.95  # the least probability that a pair at the threshold shares a band
LOOKED_AT = 4
BLOCK = 100_000  # pairs whose signatures are compared at a time
_SLACK = 0.15  # three standard deviations of the estimate: pairs estimated further below the threshold are not compared
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Sketches(NamedTuple):
    """For sentences in order: one number per band, the last byte of each signature number, and all word pairs."""

    bands: NDArray[np.uint32]
    low: NDArray[np.uint8]
    pairs: NDArray[np.uint32]
    sizes: NDArray[np.int32]


def sketch(words: pa.ListArray, near: float) -> Sketches:
    """The sketches of sentences of two or more words, to be compared with this threshold, in ]0, 1]."""
    different, word = distinct(words.flatten())
    of_words = hashes(pc.utf8_lower(different))[word]
    last = ends(words)
    following = np.append(of_words[1:], np.uint64(0))
    pairs = np.delete((of_words * _MIX) ^ following, last - 1)  # no pair spans two sentences
    sizes = (words.value_lengths().to_numpy() - 1).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint64)
    digests = RMinHash.digest_matrix_from_flat_token_hashes(pairs, offsets, PERMUTATIONS, SEED)
    signatures = np.array(digests.to_rows(), dtype=np.uint32).reshape(-1, PERMUTATIONS)
    rows = _rows(near)
    number = PERMUTATIONS // rows
    bands = signatures[:, : number * rows].reshape(len(signatures), number, rows)
    mixed = (bands * _MIX ** np.arange(1, rows + 1, dtype=np.uint64)).sum(axis=2, dtype=np.uint64)
    high = np.uint64(32)
    return Sketches(
        (mixed >> high).astype(np.uint32), signatures.astype(np.uint8), (pairs >> high).astype(np.uint32), sizes
    )


def _rows(near: float) -> int:
    """The largest band size for which a pair at the threshold shares a band with probability FOUND or more."""
    return max(rows for rows in range(1, 9) if rows == 1 or 1 - (1 - near**rows) ** (PERMUTATIONS // rows) >= FOUND)


def concatenate(parts: list[Sketches]) -> Sketches:
    """Concatenates the parts and empties the list, so that nothing is in memory twice."""
    columns = [list(column) for column in zip(*parts, strict=True)]
    parts.clear()
    return Sketches(*(np.concatenate(columns.pop(0)) for _ in Sketches._fields))


def alike(sketches: Sketches, near: float, among: Numbers, earlier: Numbers | None) -> dict[int, tuple[int, float]]:
    """For each sentence that has one, a similar sentence in `earlier`, or else before it, and the similarity."""
    bands, low, pairs, sizes = sketches
    best, same = np.zeros(len(sizes), dtype=np.intp), np.zeros(len(sizes), dtype=np.intp)
    for band in range(bands.shape[1]):
        for those, others in _candidates(bands[:, band], among, earlier):  # each of those once
            number = _shared(low, those, others)
            better = number > same[those]
            same[those[better]], best[those[better]] = number[better], others[better]
    stops = np.cumsum(sizes, dtype=np.intp)

    def pairs_of(sentence: int) -> set[int]:
        return set(pairs[stops[sentence] - sizes[sentence] : stops[sentence]].tolist())

    found = {}
    for one in np.flatnonzero(same >= (near - _SLACK) * PERMUTATIONS).tolist():
        here, there = pairs_of(one), pairs_of(best[one])
        both = len(here & there)
        share = both / (len(here) + len(there) - both)
        if share >= near:
            found[one] = (int(best[one]), share)
    return found


def _shared(low: NDArray[np.uint8], those: Numbers, others: Numbers) -> Numbers:
    """The count of signature numbers that the sentences of each pair share, by their last bytes."""
    found = np.zeros(len(those), dtype=np.intp)
    for start in range(0, len(those), BLOCK):
        part = slice(start, start + BLOCK)
        found[part] = np.count_nonzero(low[those[part]] == low[others[part]], axis=1)
    return found


def _candidates(keys: NDArray[np.uint32], among: Numbers, earlier: Numbers | None) -> Iterator[tuple[Numbers, Numbers]]:
    """Pairs (sentence, other) that have the same key."""
    if earlier is None:
        order = among[np.argsort(keys[among], kind="stable")]
        for step in range(1, LOOKED_AT + 1):
            same = keys[order[step:]] == keys[order[:-step]]
            yield order[step:][same], order[:-step][same]
        return
    order = earlier[np.argsort(keys[earlier], kind="stable")]
    first = np.searchsorted(keys[order], keys[among])
    for step in range(LOOKED_AT):
        inside = first + step < len(order)
        one, two = among[inside], order[first[inside] + step]
        same = keys[one] == keys[two]
        yield one[same], two[same]
