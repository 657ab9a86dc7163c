"""Batches of windows of similar length, and their arrays, in numpy only; shared by training and serving."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpplm_core.tagging.lazy import LazySequence
from fpplm_core.tagging.windows import Window

IntArray = NDArray[np.int64]


class Arrays(NamedTuple):
    """The arrays of a batch; padding is 0 everywhere.

    *Shape:* ids, mask and types (batch, pieces); first_pieces and word_mask (batch, words): the positions of the
    owned words' first pieces, and 1 where there is such a word.
    """

    ids: IntArray
    mask: IntArray
    types: IntArray
    first_pieces: IntArray
    word_mask: IntArray


def by_length(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Rows from longest to shortest, in batches of at most `budget` pieces with padding (at least one row)."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    batches: list[list[int]] = []
    for row in order.tolist():
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


class Batches(LazySequence[list[int]]):
    """Batches of rows, in two arrays: 4 bytes a row, a tenth of what lists take."""

    def __init__(self, batches: Iterable[Sequence[int] | NDArray[np.integer[Any]]]) -> None:
        rows, ends = array("i"), array("q", [0])
        for batch in batches:
            rows.extend(batch)
            ends.append(len(rows))
        self.rows, self.ends = rows, ends

    def __len__(self) -> int:
        return len(self.ends) - 1

    def element(self, number: int) -> list[int]:
        return self.rows[self.ends[number] : self.ends[number + 1]].tolist()


def epoch_batches(lengths: Sequence[int] | IntArray, budget: int, seed: int, epoch: int) -> Batches:
    """All rows once in batches of like length and at most `budget` pieces, in an order of (seed, epoch) alone.

    Lengths are jittered by up to a twentieth, so that rows meet other rows in every epoch.
    """
    random = np.random.default_rng((seed, epoch))
    size = np.asarray(lengths)
    order = np.argsort(size * random.uniform(0.95, 1.05, len(size)), kind="stable").astype(np.int32)
    starts = []
    start = 0
    while start < len(order):
        starts.append(start)
        ahead = size[order[start : start + budget // max(1, int(size[order[start]])) + 1]]
        filled = np.maximum.accumulate(ahead) * np.arange(1, len(ahead) + 1)  # pieces with padding
        start += max(1, int(np.searchsorted(filled, budget, side="right")))
    bounds = np.array([*starts, len(order)])
    shuffled = np.arange(len(starts))
    random.shuffle(shuffled)
    return Batches(order[bounds[number] : bounds[number + 1]] for number in shuffled)


def batch_stream(lengths: Sequence[int] | IntArray, budget: int, seed: int) -> Iterator[list[int]]:
    """The batches of one epoch after the other, without end."""
    return chain.from_iterable(epoch_batches(lengths, budget, seed, epoch) for epoch in count())


def collate(windows: Sequence[Window]) -> Arrays:
    """Windows padded at the right to the longest of them."""
    pieces = max(len(window.ids) for window in windows)
    words = max(1, *(len(window.first_pieces) for window in windows))
    of_pieces, of_words = (len(windows), pieces), (len(windows), words)
    arrays = Arrays(*(np.zeros(s, dtype=np.int64) for s in (of_pieces, of_pieces, of_pieces, of_words, of_words)))
    for row, window in enumerate(windows):
        arrays.ids[row, : len(window.ids)] = window.ids
        arrays.mask[row, : len(window.ids)] = 1
        arrays.types[row, : len(window.types)] = window.types
        arrays.first_pieces[row, : len(window.first_pieces)] = window.first_pieces
        arrays.word_mask[row, : len(window.first_pieces)] = 1
    return arrays
