"""The encoded splits: windows with their labels, as Parquet files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa

from fpplm.pipeline.paths import ENCODED
from fpplm_core.data.corpus import BATCH, stream_corpus
from fpplm_core.data.records import Sentence
from fpplm_core.files import open_table, write_table
from fpplm_core.tagging.schemes import INNER_SCHEME
from fpplm_core.tagging.spans import spans_from_tags, tags_from_spans
from fpplm_core.tagging.windows import Window, WindowBuilder

T = TypeVar("T")


def chunks_with_margin(rows: Iterable[T], size: int, margin: int) -> Iterator[tuple[list[T], range]]:
    """A stream in runs of `size` rows, each with up to `margin` rows on both sides: (rows, places of its own ones)."""
    stream = iter(rows)
    held: list[T] = []
    begin = 0
    while True:
        held += islice(stream, begin + size + margin - len(held))
        end = min(begin + size, len(held))
        if begin == end:
            return
        yield held, range(begin, end)
        begin = min(margin, end)
        held = held[end - begin :]


SCHEMA = pa.schema(
    {
        "sentence": pa.int32(),
        "ids": pa.list_(pa.int32()),
        "words": pa.list_(pa.int32()),
        "first": pa.list_(pa.int32()),
        "types": pa.list_(pa.int16()),
    }
)
LABELS = pa.list_(pa.int16())
Labelled = tuple[Sentence, Mapping[str, Sequence[int]]]  # with labels by task, one a word or none at all


def with_labels(
    train: Iterable[Sentence], labels: list[str], beside: Iterator[Sentence], second: list[str]
) -> Iterator[Labelled]:
    """Train's sentences with their labels, and with those of `beside`, another reading of the same file.

    Both stand in the order of the file; a sentence that `beside` lacks has no label of the second task.
    """
    index, other = ({label: number for number, label in enumerate(names)} for names in (labels, second))
    reading = next(beside, None)
    for s in train:
        while reading is not None and reading.lines[0] < s.lines[0]:
            reading = next(beside, None)
        tags = tags_from_spans(spans_from_tags(s.tags), len(s.tags), INNER_SCHEME)
        found = reading.tags if reading and (reading.file, reading.lines) == (s.file, s.lines) else ()
        yield s, {"labels": [index[tag] for tag in tags], "second": [other[tag] for tag in found]}


def write_windows(path: Path, rows: Iterable[Labelled], encoder: WindowBuilder, tasks: Sequence[str]) -> dict[str, int]:
    """Writes the windows of a stream of sentences with the labels of these tasks, and counts what was seen."""
    count: Counter[str] = Counter()
    encoder.pieceless = encoder.cut_words = 0
    schema = pa.schema([*SCHEMA, *(pa.field(task, LABELS) for task in tasks)])

    def batches() -> Iterator[pa.RecordBatch]:
        # A sentence has at least one piece: neighbours that are farther than `context` sentences show none.
        for held, own in chunks_with_margin(rows, BATCH, encoder.context):
            windows = encoder.windows([s.words for s, _ in held], [s.document for s, _ in held], own)
            columns = {name: [getattr(window, name) for window in windows] for name in SCHEMA.names}
            columns["sentence"] = [w.sentence - own.start + count["sentences"] for w in windows]
            for task in tasks:
                labels = [held[w.sentence][1][task] for w in windows]
                columns[task] = [[one[word] for word in w.owned_words if one] for w, one in zip(windows, labels, strict=True)]
            count["sentences"] += len(own)
            count["words"] += sum(len(w.owned_words) for w in windows)
            count["windows"] += len(windows)
            count["pieces"] += sum(len(w.ids) for w in windows)
            yield pa.RecordBatch.from_pydict(columns, schema)

    write_table(path, batches(), schema)
    sizes = {name: count[name] for name in ("sentences", "words", "windows", "pieces")}
    return {**sizes, "words_without_pieces": encoder.pieceless, "words_longer_than_a_window": encoder.cut_words}


def file_of(split: str) -> str | None:
    """The file that a part of the corpus was read from; None where it has no sentence."""
    first = next(stream_corpus(split), None)
    return first.file if first else None


class Encoded(NamedTuple):
    """The windows of a split; for train, by window, its words' labels and those of the second task ([] = none)."""

    windows: list[Window]
    labels: list[list[int]]
    second: list[list[int]]


def load_windows(split: str) -> Encoded:
    rows = open_table(ENCODED / f"{split}.parquet").read().to_pydict()
    windows = [Window(*row) for row in zip(*(rows[name] for name in SCHEMA.names), strict=True)]
    return Encoded(windows, rows.get("labels", []), rows.get("second", []))
