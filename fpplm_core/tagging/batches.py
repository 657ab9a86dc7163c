"""Batches of windows of similar length, and their arrays, in numpy only; shared by training and serving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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


def epoch_batches(lengths: Sequence[int], budget: int, seed: int, epoch: int) -> list[list[int]]:
    """All rows once in batches of like length and at most `budget` pieces, in an order of (seed, epoch) alone.

    Lengths are jittered by up to a twentieth, so that rows meet other rows in every epoch.
    """
    random = np.random.default_rng((seed, epoch))
    size = np.asarray(lengths)
    order = np.argsort(size * random.uniform(0.95, 1.05, len(size)), kind="stable")
    batches: list[list[int]] = []
    longest = 0
    for row in order.tolist():
        longest = max(longest, int(size[row]))
        if batches and longest * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
            longest = int(size[row])
    random.shuffle(batches)
    return batches


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
