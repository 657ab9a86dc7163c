"""What training reads: windows with their labels, the batches of all epochs, and dev."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fpplm_core.data.corpus import UNLABELLED, load_corpus
from fpplm_core.data.windows import load_windows, read_encoding
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.tagger import Tagger
from fpplm_core.tagging.batches import IntArray, collate, epoch_batches
from fpplm_core.tagging.spans import spans_from_tags
from fpplm_core.tagging.windows import Window
from fpplm_core.training.batch import IGNORED, Batch
from fpplm_core.training.length import epochs_of
from fpplm_core.training.selection import Dev

if TYPE_CHECKING:
    from fpplm_core.training.settings import TrainSettings

FIXED_IDS = 8  # the first pieces keep their ids


def used_pieces(windows: Sequence[Window], mask_id: int) -> IntArray:
    """The pieces that occur in these windows, ascending, with `mask_id` and the first pieces.

    The first ids must not change: encoders like RoBERTa count positions of ids that differ from their padding, 1.
    """
    shown = {piece for window in windows for piece in window.ids}
    return np.array(sorted(shown | {mask_id} | set(range(FIXED_IDS))), dtype=np.int64)


def remap_ids(windows: Sequence[Window], pieces: IntArray) -> list[Window]:
    """The windows with each piece's place in `pieces` as its id."""
    return [replace(window, ids=np.searchsorted(pieces, window.ids).tolist()) for window in windows]


@dataclass(frozen=True)
class TrainingData:
    """The training windows with the labels of both tasks, the batches of all epochs as rows of windows, and dev.

    `unlabelled` has the rows of unlabelled text by step; their windows have no labels.
    """

    blueprint: Blueprint
    windows: list[Window]
    tags: list[list[int]]
    second: list[list[int]]
    epochs: list[list[list[int]]]
    dev: Dev
    unlabelled: dict[int, list[int]] = field(default_factory=dict)

    @cached_property
    def batches_by_step(self) -> list[list[int]]:
        """The windows of each step."""
        return [rows for epoch in self.epochs for rows in epoch]

    @cached_property
    def epoch_ends(self) -> set[int]:
        """The number of finished steps at the end of each epoch."""
        return set(np.cumsum([len(epoch) for epoch in self.epochs]).tolist())


def load_data(settings: TrainSettings, corpus: Path, encoded: Path) -> TrainingData:
    """The data of all epochs from the folders that read and encode have written. Raises DataError."""
    windows, tags, second = load_windows("train", encoded)
    lengths = [len(window.ids) for window in windows]
    first = epoch_batches(lengths, settings.batch_pieces, settings.seed, 0)
    more = range(1, epochs_of(settings, len(first)))
    epochs = [first, *(epoch_batches(lengths, settings.batch_pieces, settings.seed, number) for number in more)]
    if (encoded / "second.parquet").exists():
        other = load_windows("second", encoded)
        epochs = interleave_second_corpus(epochs, [len(window.ids) for window in other.windows], settings, len(windows))
        windows, tags = windows + other.windows, tags + [[]] * len(other.windows)
        second = second + other.second
    unlabelled: dict[int, list[int]] = {}
    if (encoded / f"{UNLABELLED}.parquet").exists() and settings.self_training.weight:
        texts = load_windows(UNLABELLED, encoded).windows
        drawn = draw_unlabelled([len(window.ids) for window in texts], settings, sum(map(len, epochs)))
        shown = sorted({row for rows in drawn.values() for row in rows})  # others would only enlarge the vocabulary
        place = {row: len(windows) + number for number, row in enumerate(shown)}
        unlabelled = {step: [place[row] for row in rows] for step, rows in drawn.items()}
        windows = windows + [texts[row] for row in shown]
        tags, second = tags + [[]] * len(shown), second + [[]] * len(shown)
    dev = load_corpus("dev", corpus)
    info = read_encoding(encoded)
    return TrainingData(
        blueprint=Blueprint(info.labels, info.first_shape, info.mask_id, info.second),
        windows=windows,
        tags=tags,
        second=second,
        epochs=epochs,
        dev=Dev(
            load_windows("dev", encoded).windows,
            [len(s.words) for s in dev],
            [spans_from_tags(s.tags) for s in dev],
        ),
        unlabelled=unlabelled,
    )


def draw_unlabelled(lengths: list[int], settings: TrainSettings, steps: int) -> dict[int, list[int]]:
    """The rows of unlabelled text for each step of self-training, in rounds over all rows; `lengths` in pieces."""
    budget = max(1, round(settings.batch_pieces * settings.self_training.ratio))
    rounds = (epoch_batches(lengths, budget, settings.seed, number) for number in itertools.count())
    own = itertools.chain.from_iterable(rounds)
    return {step: next(own) for step in range(steps) if step / steps > settings.self_training.begin}


def interleave_second_corpus(
    epochs: list[list[list[int]]], lengths: list[int], settings: TrainSettings, first: int
) -> list[list[list[int]]]:
    """Adds windows of the second task's own corpus, numbered from `first`, to each batch: half a batch's pieces."""
    budget = settings.batch_pieces // 2
    rounds = (epoch_batches(lengths, budget, settings.seed, number) for number in itertools.count())
    own = itertools.chain.from_iterable(rounds)
    return [[rows + [first + row for row in next(own)] for rows in epoch] for epoch in epochs]


def restrict_vocabulary(model: Tagger, data: TrainingData) -> TrainingData:
    """Removes the embeddings of pieces that occur neither in train nor in dev; returns the data with the new ids."""
    pieces = used_pieces([*data.windows, *data.dev.windows], data.blueprint.mask_id)
    model.keep_pieces(torch.from_numpy(pieces).to(next(model.parameters()).device))
    dev = data.dev._replace(windows=remap_ids(data.dev.windows, pieces))
    return replace(data, windows=remap_ids(data.windows, pieces), dev=dev)


def count_label_pairs(tags: Sequence[Sequence[int]], count: int) -> Tensor:
    """How often label b follows label a within a window's own words. *Shape:* (count, count), row a, column b."""
    flat = np.fromiter(itertools.chain.from_iterable([*row, IGNORED] for row in tags), dtype=np.int64)
    before, after = flat[:-1], flat[1:]
    both = (before != IGNORED) & (after != IGNORED)
    found = np.bincount(before[both] * count + after[both], minlength=count * count)
    return torch.from_numpy(found).view(count, count).float()


def make_batch(data: TrainingData, rows: Sequence[int]) -> Batch:
    """The batch of these windows, on the CPU."""
    arrays = collate([data.windows[row] for row in rows])

    def table(values: list[list[int]]) -> Tensor:
        filled = np.full(arrays.first_pieces.shape, IGNORED, dtype=np.int64)
        for place, row in enumerate(rows):
            filled[place, : len(values[row])] = values[row]
        return torch.from_numpy(filled)

    second = table(data.second) if data.blueprint.second else None
    ids, mask, types, first_pieces, word_mask = (torch.from_numpy(array) for array in arrays)
    return Batch(ids, mask, types, first_pieces, word_mask, table(data.tags), second)
