"""Which sentences are in a slice, and the counts and scores of their spans, part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fpplm_core.data.columns import Values, open_column
from fpplm_core.data.records import Sentence
from fpplm_core.data.settings import DataSettings
from fpplm_core.errors import DataError
from fpplm_core.evaluation.metrics import Row, SentenceCounts, bootstrap_f1, mention_counts, sum_rows
from fpplm_core.evaluation.scores import SliceScore, Spans, type_score
from fpplm_core.evaluation.slices import MIXED, SLICES, Column, Slice, Slices
from fpplm_core.quality.columns import ends, join_words, matching, sums_of_lists
from fpplm_core.quality.scripts import letters

Columns = dict[Column, Values]
Members = NDArray[np.bool_]  # (sentences,)
Mentions = set[tuple[str, str]]


def open_columns(slices: Slices, settings: DataSettings) -> dict[str, Columns]:
    """The columns that slices name, for dev and test; one that a split lacks has no value there.

    Raises DataError if neither split has it.
    """
    found: dict[str, Columns] = {"dev": {}, "test": {}}
    for name, one in slices.slices.items():
        for column in one.column or ():
            errors = []
            for split, columns in found.items():
                if column not in columns:
                    try:
                        columns[column] = open_column(column, split, settings)
                    except DataError as error:
                        errors.append(str(error))
                        columns[column] = _no_values
                        print(f"note: slice {name} has no sentence in {split}, which lacks the column {column}")
            if len(errors) == len(found):
                where, do = f"{SLICES}: slices.{name}.column.{column}", "name a column that they have"
                raise DataError("neither dev nor test has this column", where=where, got=errors[-1], do=do)
    return found


def _no_values(part: Sequence[Sentence]) -> list[frozenset[str]]:
    return [frozenset()] * len(part)


class _Part:
    """Sentences, and what conditions look at: each computed once, and only if a slice needs it."""

    def __init__(self, sentences: Sequence[Sentence], columns: Columns) -> None:
        self.sentences = sentences
        self.words = pa.array([s.words for s in sentences], pa.list_(pa.string()))
        self.lengths = np.array([len(s.words) for s in sentences])
        self.values = {column: values(sentences) for column, values in columns.items()}

    @cached_property
    def texts(self) -> pa.StringArray:
        return join_words(self.words)

    @cached_property
    def scripts(self) -> dict[str, Members]:
        """Which sentences have a letter of each script."""
        found = letters(self.words.flatten())
        has = {name: sums_of_lists(counts, ends(self.words)) > 0 for name, counts in found.items()}
        return has | {MIXED: np.sum([*has.values()], axis=0) > 1}


def members_of(slices: Slices, sentences: Sequence[Sentence], columns: Columns) -> dict[str, Members]:
    """Which of the sentences, the next part of a split, are in each slice."""
    part = _Part(sentences, columns)
    return {
        name: np.logical_and.reduce([np.ones(len(sentences), bool), *_conditions(one, part)])
        for name, one in slices.slices.items()
    }


def _conditions(one: Slice, part: _Part) -> Iterator[Members]:
    """Which sentences meet each condition that is set."""
    if one.min_words is not None:
        yield part.lengths >= one.min_words
    if one.max_words is not None:
        yield part.lengths <= one.max_words
    if one.source is not None:
        files = {s.file for s in part.sentences}
        wanted = {file for file in files if any(fnmatchcase(file, pattern) for pattern in one.source)}
        yield np.array([s.file in wanted for s in part.sentences], bool)
    if one.document is not None:
        yield np.array([s.document in one.document for s in part.sentences], bool)
    if one.script is not None:
        none = np.zeros(len(part.sentences), bool)
        yield np.logical_or.reduce([part.scripts.get(name, none) for name in one.script])
    if one.regex is not None:
        yield matching(part.texts, one.regex)
    for column, cells in (one.column or {}).items():
        yield np.array([not values.isdisjoint(cells) for values in part.values[column]], bool)


def slice_counts(
    slices: Slices,
    members: Mapping[str, Members],
    sentences: Sequence[Sentence],
    gold: Spans,
    predicted: Spans,
    seen: Mentions,
) -> dict[str, SentenceCounts]:
    """The counts of the sentences in each slice, in their order. *Shape:* (sentences in the slice, 3).

    A predicted span counts as seen or unseen by its own text and type, as in `metrics.seen_unseen`.
    """
    rows = list(zip((s.words for s in sentences), gold, predicted, strict=True))
    tables = {
        part: np.array([mention_counts(*row, part, seen) for row in rows], dtype=np.int64).reshape(-1, 3)
        for part in {one.mentions for one in slices.slices.values()}
    }
    return {name: tables[one.mentions][members[name]] for name, one in slices.slices.items()}


class SliceScorer:
    """Adds up the counts of slices, part by part.

    It keeps how often each row of counts occurs, which is all that scores and intervals need: memory does not grow with
    the split.
    """

    def __init__(self, slices: Slices, seen: Mentions, columns: Columns) -> None:
        self.slices, self.seen, self.columns = slices, seen, columns
        self.rows: dict[str, Counter[Row]] = {name: Counter() for name in slices.slices}

    def add(self, sentences: Sequence[Sentence], gold: Spans, predicted: Spans) -> None:
        """Counts the spans of the next part of the split. Raises DataError if a column cannot be read."""
        if not self.rows:
            return
        members = members_of(self.slices, sentences, self.columns)
        counts = slice_counts(self.slices, members, sentences, gold, predicted, self.seen)
        for name, table in counts.items():
            self.rows[name].update(map(tuple, table.tolist()))

    def scores(self) -> dict[str, SliceScore]:
        """The scores of each slice; those of an empty one are 0."""
        return {name: _score(rows, self.slices.min_support) for name, rows in self.rows.items()}


def _score(rows: Counter[Row], min_support: int) -> SliceScore:
    low, high = bootstrap_f1(rows)
    total = type_score(sum_rows(rows))
    return SliceScore(
        **vars(total), f1_low=low, f1_high=high, sentences=rows.total(), decides=total.support >= min_support
    )
