"""Encodes the splits of a corpus: windows with their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from fpplm_core.data.corpus import (
    BATCH,
    SPLITS,
    UNLABELLED,
    CorpusInfo,
    distinct_tags,
    open_corpus,
    stream_corpus,
)
from fpplm_core.data.corpus import INFO as CORPUS_INFO
from fpplm_core.data.encoded import FIELDS, LABELS, SCHEMA, windows_file
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError
from fpplm_core.files import read_record, write_mapped_table
from fpplm_core.tagging.schemes import INNER_SCHEME, label_list
from fpplm_core.tagging.spans import spans_from_tags, tags_from_spans, types_of
from fpplm_core.tagging.windows import Window, WindowBuilder
from fpplm_core.tracking import track

T = TypeVar("T")
MOST_EXPORTED_LABELS = 1_700  # the square of it in transition scores fits into the 64 MiB of a bundle's config.json
INFO = "encoding.json"  # the name of the EncodingInfo beside the splits
Labelled = tuple[Sentence, Mapping[str, Sequence[int]]]  # with labels by task, one per word or none at all


@dataclass(frozen=True)
class WindowCounts:
    """The size of an encoded split, and how many of its words the encoder cannot represent fully."""

    sentences: int
    words: int
    windows: int
    pieces: int
    words_without_pieces: int
    words_longer_than_a_window: int


@dataclass(frozen=True)
class EncodingInfo:
    """The labels of the tags and of the second task, the token type of the first word shape, and the mask piece.

    `descriptions` are the windows of data.describe by entity type.
    """

    labels: list[str]
    first_shape: int | None
    mask_id: int
    second: list[str]
    counts: dict[str, WindowCounts]
    descriptions: dict[str, list[Window]]


def labels_of(types: Sequence[str], scheme: str, bundled: bool) -> list[str]:
    """The labels of a tagger for these types. Raises DataError if a bundle is to hold them, and they are too many."""
    plain = scheme == "TAGS"
    labels = label_list(types, scheme if plain else INNER_SCHEME)
    if bundled and len(labels) > MOST_EXPORTED_LABELS:
        got = f"{len(labels)} labels, at most {MOST_EXPORTED_LABELS} fit into a bundle"
        do = "merge tags: each is a label" if plain else "merge types: each type of entity has four labels"
        raise DataError("too many labels", where="train", got=got, do=do)
    return labels


def encode_corpus(
    corpus: Path, folder: Path, builder: WindowBuilder, mask_id: int | None, bundled: bool = True
) -> EncodingInfo:
    """Writes the windows of every split of a corpus to a folder; those of train with labels.

    A second task's labels go beside train's if they come from the same file, else into a file of their own.
    `mask_id` is the piece that hides a word; None, for an encoder without one (GPT-2), takes the builder's filler.
    Raises DataError if a split or corpus.json is missing, or train has more labels than a bundle can hold, unless the
    tagger goes into none.
    """
    info = read_record(corpus / CORPUS_INFO, CorpusInfo)
    labels = labels_of(types_of([distinct_tags(open_corpus("train", corpus))]), info.scheme, bundled)
    second = sorted(distinct_tags(open_corpus("second", corpus))) if (corpus / "second.parquet").exists() else []
    separate = bool(second) and _file_of("second", corpus) != _file_of("train", corpus)
    beside = stream_corpus("second", corpus) if second and not separate else iter(())
    counts: dict[str, WindowCounts] = {}
    for split in SPLITS:
        total = open_corpus(split, corpus).metadata.num_rows
        sentences = track(stream_corpus(split, corpus), f"sentences of {split}", total, lambda _: 1)
        if split == "train":
            rows = with_labels(sentences, labels, beside, second)
            counts[split] = write_windows(windows_file(folder, split), rows, builder, ("labels", "second"))
        else:
            counts[split] = write_windows(windows_file(folder, split), ((s, {}) for s in sentences), builder, ())
    for optional in ("second", UNLABELLED):
        windows_file(folder, optional).unlink(missing_ok=True)
    if (corpus / f"{UNLABELLED}.parquet").exists():
        texts = stream_corpus(UNLABELLED, corpus)
        counts[UNLABELLED] = write_windows(windows_file(folder, UNLABELLED), ((s, {}) for s in texts), builder, ())
    if separate:
        index = {label: number for number, label in enumerate(second)}
        rows = ((s, {"second": [index[tag] for tag in s.tags]}) for s in stream_corpus("second", corpus))
        write_windows(windows_file(folder, "second"), rows, builder, ("second",))
    mask = builder.filler if mask_id is None else mask_id
    descriptions = {kind: builder.windows([words]) for kind, words in info.descriptions.items()}
    return EncodingInfo(labels, builder.first_shape_type, mask, second, counts, descriptions)


def read_encoding(folder: Path) -> EncodingInfo:
    """What `encode_corpus` returned for a folder. Raises DataError if it is missing."""
    return read_record(folder / INFO, EncodingInfo)


def with_labels(
    train: Iterable[Sentence], labels: list[str], beside: Iterator[Sentence], second: list[str]
) -> Iterator[Labelled]:
    """Train's sentences with their labels, and with those of `beside`, another reading of the same file.

    Both are in the order of the file; a sentence that `beside` lacks gets no labels of the second task.
    """
    index, second_index = ({label: number for number, label in enumerate(names)} for names in (labels, second))
    reading = next(beside, None)
    for s in train:
        while reading is not None and reading.lines[0] < s.lines[0]:
            reading = next(beside, None)
        tags = tags_from_spans(spans_from_tags(s.tags), len(s.tags), INNER_SCHEME)
        second_tags = reading.tags if reading and (reading.file, reading.lines) == (s.file, s.lines) else ()
        yield s, {"labels": [index[tag] for tag in tags], "second": [second_index[tag] for tag in second_tags]}


def write_windows(path: Path, rows: Iterable[Labelled], builder: WindowBuilder, tasks: Sequence[str]) -> WindowCounts:
    """Writes the windows of a stream of sentences with the labels of these tasks, and counts them."""
    count: Counter[str] = Counter()
    builder.pieceless = builder.cut_words = 0
    schema = pa.schema([*SCHEMA, *(pa.field(task, LABELS) for task in tasks)])

    def batches() -> Iterator[pa.RecordBatch]:
        # A sentence has at least one piece, so sentences farther away than `context` never show.
        for held, own in chunks_with_margin(rows, BATCH, builder.context):
            windows = builder.windows([s.words for s, _ in held], [s.document for s, _ in held], own)
            columns = {column: [getattr(w, field) for w in windows] for column, field in FIELDS.items()}
            columns["sentence"] = [w.sentence - own.start + count["sentences"] for w in windows]
            for task in tasks:
                labels = [held[w.sentence][1][task] for w in windows]
                columns[task] = [
                    [one[word] for word in w.owned_words if one] for w, one in zip(windows, labels, strict=True)
                ]
            count["sentences"] += len(own)
            count["words"] += sum(len(w.owned_words) for w in windows)
            count["windows"] += len(windows)
            count["pieces"] += sum(len(w.ids) for w in windows)
            yield pa.RecordBatch.from_pydict(columns, schema)

    write_mapped_table(path, batches(), schema)
    sizes = count["sentences"], count["words"], count["windows"], count["pieces"]
    return WindowCounts(*sizes, builder.pieceless, builder.cut_words)


def chunks_with_margin(rows: Iterable[T], size: int, margin: int) -> Iterator[tuple[list[T], range]]:
    """Chunks of `size` rows with up to `margin` neighbours on both sides, as (rows, positions of its own rows)."""
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


def _file_of(split: str, corpus: Path) -> str | None:
    """The file that a split was read from; None if it has no sentence."""
    first = next(stream_corpus(split, corpus), None)
    return first.file if first else None
