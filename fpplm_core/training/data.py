"""What training reads: windows with their labels, the batches of all epochs, and dev."""

from __future__ import annotations

import itertools
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fpplm_core.data.corpus import UNLABELLED, open_corpus, stream_corpus
from fpplm_core.data.encoded import Encoded, RenumberedWindows, open_windows, piece_counts, windows_file
from fpplm_core.data.windows import read_encoding
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.tagger import Tagger
from fpplm_core.tagging.batches import Batches, IntArray, batch_stream, collate, epoch_batches
from fpplm_core.tagging.spans import spans_from_tags
from fpplm_core.tagging.windows import Window
from fpplm_core.training.batch import IGNORED, Batch
from fpplm_core.training.length import epochs_of
from fpplm_core.training.randomness import derive_seed
from fpplm_core.training.selection import Dev
from fpplm_core.training.technique import StepContext, Technique

if TYPE_CHECKING:
    from fpplm_core.training.settings import TrainSettings

MOST_DEV = 10_000  # sentences of dev that a training scores after each epoch: more take time and memory in each
FIXED_IDS = 8  # the first pieces keep their ids


def used_pieces(windows: Iterable[Window], mask_id: int) -> IntArray:
    """The pieces that occur in these windows, ascending, with `mask_id` and the first pieces.

    The first ids must not change: encoders like RoBERTa count positions of ids that differ from their padding, 1.
    """
    shown = set(itertools.chain.from_iterable(window.ids for window in windows))
    return np.array(sorted(shown | {mask_id} | set(range(FIXED_IDS))), dtype=np.int64)


@dataclass(frozen=True)
class TrainingData:
    """The training windows with the labels of both tasks, the batches of all epochs as rows of windows, and dev.

    `unlabelled` has the rows of unlabelled text for each of `text_steps`; their windows have no labels.
    `descriptions` are the windows of the descriptions of entity types.
    """

    blueprint: Blueprint
    windows: Sequence[Window]
    tags: Sequence[list[int]]
    second: Sequence[list[int]]
    epochs: list[Batches]
    dev: Dev
    unlabelled: Sequence[list[int]] = ()
    text_steps: Sequence[int] = ()
    descriptions: Mapping[str, Sequence[Window]] = field(default_factory=dict)

    @cached_property
    def epoch_ends(self) -> list[int]:
        """The number of finished steps at the end of each epoch."""
        return list(itertools.accumulate(len(epoch) for epoch in self.epochs))

    @property
    def steps(self) -> int:
        """The number of steps of all epochs."""
        return self.epoch_ends[-1]

    def rows(self, step: int) -> list[int]:
        """The windows of a step."""
        epoch = bisect_right(self.epoch_ends, step)
        return self.epochs[epoch][step - self.epoch_ends[epoch]]

    def unlabelled_rows(self, step: int) -> list[int] | None:
        """The windows of unlabelled text of a step, if it has any."""
        place = bisect_left(self.text_steps, step)
        return self.unlabelled[place] if step in self.text_steps[place : place + 1] else None


def load_data(
    settings: TrainSettings, corpus: Path, encoded: Path, warm: bool = False, techniques: Collection[Technique] = ()
) -> TrainingData:
    """The data of all epochs from the folders that read and encode have written. Raises DataError.

    `warm` if the run continues from an earlier run's model. `techniques` are asked which steps need unlabelled text if
    self-training does not.
    """
    tables = [open_windows("train", encoded)]
    lengths = piece_counts(tables[0])
    first = epoch_batches(lengths, settings.batch_pieces, settings.seed, 0)
    more = range(1, epochs_of(settings, len(first), warm))
    epochs = [first, *(epoch_batches(lengths, settings.batch_pieces, settings.seed, number) for number in more)]
    if windows_file(encoded, "second").exists():
        tables.append(open_windows("second", encoded))
        epochs = interleave_second_corpus(epochs, piece_counts(tables[1]), settings, len(tables[0]))
    unlabelled, text_steps = Batches([]), array("q")
    if windows_file(encoded, UNLABELLED).exists():
        text_steps = steps_with_text(settings, sum(map(len, epochs)), techniques)
    if text_steps:
        texts = open_windows(UNLABELLED, encoded)
        drawn = draw_unlabelled(piece_counts(texts), settings, len(text_steps))
        shown = np.unique(drawn.rows)  # others would only enlarge the vocabulary
        first_row = sum(map(len, tables))
        unlabelled = Batches(first_row + np.searchsorted(shown, rows) for rows in drawn)
        tables.append(texts.take(shown))
    windows, tags, second = Encoded.of(*tables)
    info = read_encoding(encoded)
    return TrainingData(
        blueprint=Blueprint(info.labels, info.first_shape, info.mask_id, info.second),
        windows=windows,
        tags=tags,
        second=second,
        epochs=epochs,
        dev=load_dev(corpus, encoded, settings.seed),
        unlabelled=unlabelled,
        text_steps=text_steps,
        descriptions=info.descriptions,
    )


def load_dev(corpus: Path, encoded: Path, seed: int) -> Dev:
    """Dev, or MOST_DEV of its sentences, drawn with the seed. Raises DataError if read or encode has not run."""
    windows, count = Encoded.of(open_windows("dev", encoded)).windows, open_corpus("dev", corpus).metadata.num_rows
    chosen = np.sort(np.random.default_rng(derive_seed(seed, 0, "dev")).permutation(count)[:MOST_DEV])
    drawn = np.isin(np.arange(count), chosen)
    sentences = [s for s, own in zip(stream_corpus("dev", corpus), drawn, strict=True) if own]
    own = [
        replace(window, sentence=number)
        for number, place in enumerate(chosen.tolist())
        for window in windows.of_sentences(place, place + 1)
    ]
    return Dev(own, [len(s.words) for s in sentences], [spans_from_tags(s.tags) for s in sentences])


def steps_with_text(settings: TrainSettings, steps: int, techniques: Collection[Technique]) -> array[int]:
    """The steps from the beginning of self-training on in which it or a technique learns from unlabelled text."""
    later = (step for step in range(steps) if step / steps > settings.self_training.begin)
    if settings.self_training.weight:
        return array("q", later)
    return array("q", (step for step in later if any(t.learns_text(StepContext(step, steps)) for t in techniques)))


def draw_unlabelled(lengths: IntArray, settings: TrainSettings, count: int) -> Batches:
    """The rows of unlabelled text for this many steps, in rounds over all rows; `lengths` in pieces."""
    budget = max(1, round(settings.batch_pieces * settings.self_training.ratio))
    return Batches(itertools.islice(batch_stream(lengths, budget, settings.seed), count))


def interleave_second_corpus(
    epochs: list[Batches], lengths: IntArray, settings: TrainSettings, first: int
) -> list[Batches]:
    """Adds windows of the second task's own corpus, numbered from `first`, to each batch: half a batch's pieces."""
    own = batch_stream(lengths, settings.batch_pieces // 2, settings.seed)
    return [Batches(rows + [first + row for row in next(own)] for rows in epoch) for epoch in epochs]


def restrict_vocabulary(model: Tagger, *data: TrainingData) -> list[TrainingData]:
    """Removes the embeddings of pieces that occur neither in train nor in dev; returns the data with the new ids."""
    windows = (window for one in data for window in itertools.chain(one.windows, one.dev.windows))
    pieces = used_pieces(windows, model.blueprint.mask_id)
    model.keep_pieces(torch.from_numpy(pieces).to(next(model.parameters()).device))

    def renumbered(one: TrainingData) -> TrainingData:
        dev = one.dev._replace(windows=RenumberedWindows(one.dev.windows, pieces))
        return replace(one, windows=RenumberedWindows(one.windows, pieces), dev=dev)

    return [renumbered(one) for one in data]


def count_label_pairs(tags: Iterable[Sequence[int]], count: int) -> Tensor:
    """How often label b follows label a within a window's own words. *Shape:* (count, count), row a, column b."""
    found = np.zeros((count, count), dtype=np.int64)
    for pair, times in Counter(itertools.chain.from_iterable(map(itertools.pairwise, tags))).items():
        if IGNORED not in pair:
            found[pair] = times
    return torch.from_numpy(found).float()


def make_batch(data: TrainingData, rows: Sequence[int]) -> Batch:
    """The batch of these windows, on the CPU."""
    arrays = collate([data.windows[row] for row in rows])

    def table(values: Sequence[list[int]]) -> Tensor:
        filled = np.full(arrays.first_pieces.shape, IGNORED, dtype=np.int64)
        for place, row in enumerate(rows):
            labels = values[row]
            filled[place, : len(labels)] = labels
        return torch.from_numpy(filled)

    second = table(data.second) if data.blueprint.second else None
    ids, mask, types, first_pieces, word_mask = (torch.from_numpy(array) for array in arrays)
    return Batch(ids, mask, types, first_pieces, word_mask, table(data.tags), second)
