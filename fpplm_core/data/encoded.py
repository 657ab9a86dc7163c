"""An encoded split: windows with their labels in a memory-mapped Arrow file, which are decoded when they are read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fpplm_core.files import open_mapped_table
from fpplm_core.tagging.lazy import LazySequence
from fpplm_core.tagging.windows import Window

SCHEMA = pa.schema(  # the fields of Window, in its order
    {
        "sentence": pa.int32(),
        "ids": pa.list_(pa.int32()),
        "words": pa.list_(pa.int32()),
        "first": pa.list_(pa.int32()),
        "types": pa.list_(pa.int16()),
    }
)
FIELDS = dict(zip(SCHEMA.names, (field.name for field in fields(Window)), strict=True))  # by column
LABELS = pa.list_(pa.int16())


def windows_file(folder: Path, split: str) -> Path:
    """The file of a split's windows in a folder."""
    return folder / f"{split}.arrow"


def open_windows(split: str, folder: Path) -> pa.Table:
    """The columns of SCHEMA of an encoded split, for train with the labels by task. Raises DataError."""
    return open_mapped_table(windows_file(folder, split))


class ListColumn(LazySequence[list[int]]):
    """A column of lists of integers; a missing list is empty."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self.starts = list(accumulate((len(chunk) for chunk in column.chunks), initial=0))
        self.chunks = [(chunk.offsets.to_numpy(), chunk.values.to_numpy()) for chunk in column.chunks]

    def __len__(self) -> int:
        return self.starts[-1]

    def element(self, number: int) -> list[int]:
        chunk = bisect_right(self.starts, number) - 1
        offsets, values = self.chunks[chunk]
        place = number - self.starts[chunk]
        found: list[int] = values[offsets[place] : offsets[place + 1]].tolist()
        return found

    def __iter__(self) -> Iterator[list[int]]:
        for offsets, values in self.chunks:
            bounds = offsets.tolist()
            yield from (values[start:end].tolist() for start, end in pairwise(bounds))

    def lengths(self) -> NDArray[np.int32]:
        """The number of integers in each list."""
        return np.concatenate([np.zeros(0, dtype=np.int32), *(np.diff(offsets) for offsets, _ in self.chunks)])


class StoredWindows(LazySequence[Window]):
    """The windows of a table with the columns of SCHEMA."""

    def __init__(self, table: pa.Table) -> None:
        self.sentences = table["sentence"].to_numpy()
        self.ids, *rest = (ListColumn(table[name]) for name in SCHEMA.names[1:])
        self.columns = (self.ids, *rest)

    def __len__(self) -> int:
        return len(self.sentences)

    def element(self, number: int) -> Window:
        return Window(int(self.sentences[number]), *(column.element(number) for column in self.columns))

    def __iter__(self) -> Iterator[Window]:
        return map(Window, map(int, self.sentences), *self.columns)

    def of_sentences(self, start: int, end: int) -> list[Window]:
        """The windows of the sentences from `start` to `end` (excluded), which are numbered from 0."""
        first, last = bisect_left(self.sentences, start), bisect_left(self.sentences, end)
        return [replace(window, sentence=window.sentence - start) for window in self[first:last]]


def piece_counts(table: pa.Table) -> NDArray[np.int64]:
    """The number of pieces of each window."""
    return ListColumn(table["ids"]).lengths().astype(np.int64)


class RenumberedWindows(LazySequence[Window]):
    """Windows with each piece's place in `pieces`, which ascend, as its id."""

    def __init__(self, windows: Sequence[Window], pieces: NDArray[np.int64]) -> None:
        self.windows, self.pieces = windows, pieces

    def __len__(self) -> int:
        return len(self.windows)

    def element(self, number: int) -> Window:
        window = self.windows[number]
        return replace(window, ids=np.searchsorted(self.pieces, window.ids).tolist())


class Encoded(NamedTuple):
    """The windows of a split; for train, by window, its words' labels and those of the second task ([] = none)."""

    windows: StoredWindows
    labels: ListColumn
    second: ListColumn

    @classmethod
    def of(cls, *tables: pa.Table) -> Encoded:
        """The windows of these tables, one after the other; a column that a table lacks is empty."""
        schema = pa.schema([*SCHEMA, pa.field("labels", LABELS), pa.field("second", LABELS)])
        empty = schema.empty_table()
        table = pa.concat_tables([empty, *tables], promote_options="default")
        return cls(StoredWindows(table), ListColumn(table["labels"]), ListColumn(table["second"]))
