"""Sentences that are nearly alike: MinHash and locality-sensitive hashing find them, a comparison proves them.

Two sentences are alike by the share of their pairs of neighbouring words (in lower case) that both have, of all that
either has (Jaccard). Of each sentence a signature of PERMUTATIONS numbers is taken; the chance that two have the same
number is how alike they are. Those that share a band of numbers are candidates, of a band LOOKED_AT earlier ones, so
that time stays linear also where thousands are alike; the one with the signature most alike is compared. So no pair is
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
FOUND = 0.95  # of the pairs that are just as near as asked for, at least this share is to share a band
LOOKED_AT = 4
BLOCK = 100_000  # pairs whose signatures are compared at a time
_SLACK = 0.15  # below the threshold by estimate, three standard deviations: too far to be compared
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Sketches(NamedTuple):
    """Of sentences in turn: a number a band, the last byte of each number of the signature, and all pairs of words."""

    bands: NDArray[np.uint32]
    low: NDArray[np.uint8]
    pairs: NDArray[np.uint32]
    sizes: NDArray[np.int32]


def sketch(words: pa.ListArray, near: float) -> Sketches:
    """Of sentences of two words or more, to be compared with this threshold, in ]0, 1]."""
    different, word = distinct(words.flatten())
    of_words = hashes(pc.utf8_lower(different))[word]
    last = ends(words)
    following = np.append(of_words[1:], np.uint64(0))
    pairs = np.delete((of_words * _MIX) ^ following, last - 1)  # none from one sentence to the next
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
    """Numbers in a band: as many as leave the chance of a shared band at FOUND."""
    return max(rows for rows in range(1, 9) if rows == 1 or 1 - (1 - near**rows) ** (PERMUTATIONS // rows) >= FOUND)


def concatenate(parts: list[Sketches]) -> Sketches:
    """All in one; the list is emptied, so that nothing is held twice."""
    columns = [list(column) for column in zip(*parts, strict=True)]
    parts.clear()
    return Sketches(*(np.concatenate(columns.pop(0)) for _ in Sketches._fields))


def alike(
    sketches: Sketches, near: float, among: Numbers, earlier: Numbers | None = None
) -> dict[int, tuple[int, float]]:
    """Of these sentences those that are near one of `earlier`, or else one before them: which, how alike."""
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
    """How many numbers of their signatures the sentences of each pair share, by the last bytes."""
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
