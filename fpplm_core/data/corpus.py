"""The corpus as Parquet files, one per split, with the file and line of every word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow.parquet import ParquetFile

from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError
from fpplm_core.files import open_table, write_table
from fpplm_core.tracking import track

SPLITS = ("train", "dev", "test")
UNLABELLED = "unlabelled"  # the name of the unlabelled text beside the splits, if there is any
INFO = "corpus.json"  # the name of the CorpusInfo beside the splits
BATCH = 10_000  # sentences that are held in memory at a time
SCHEMA = pa.schema(
    {
        "words": pa.list_(pa.string()),
        "tags": pa.list_(pa.string()),
        "file": pa.string(),
        "lines": pa.list_(pa.int32()),
        "document": pa.int32(),
        "text": pa.string(),
        "offsets": pa.list_(pa.list_(pa.int32(), 2)),
    }
)
TagBigram = tuple[str | None, str | None]


@dataclass(frozen=True)
class Change:
    """How often reading made a kind of change or omission, and its first places (file:line: what)."""

    count: int
    places: list[str]


@dataclass(frozen=True)
class CorpusInfo:
    """Facts about a corpus: its tag scheme with the evidence, notes for the user, and changes by kind.

    `descriptions` are the words of data.describe by entity type.
    """

    scheme: str
    evidence: str
    notes: list[str]
    changes: dict[str, Change]
    descriptions: dict[str, list[str]]


def tag_bigrams_in(data: ParquetFile) -> Counter[TagBigram]:
    """How often each tag follows each tag; None is the edge of a sentence."""
    counts = Counter[TagBigram]()
    for batch in data.iter_batches(BATCH, columns=["tags"]):
        encoded = batch["tags"].flatten().dictionary_encode()
        names = [*encoded.dictionary.to_pylist(), None]
        edge, tags = len(names) - 1, encoded.indices.to_numpy().astype(np.int64)
        lengths = batch["tags"].value_lengths().to_numpy()
        ends = np.cumsum(lengths[lengths > 0])
        row = np.insert(tags, ends, edge)  # an edge after every sentence
        codes, times = np.unique(np.append(edge, row[:-1]) * len(names) + row, return_counts=True)
        pairs = zip(codes.tolist(), times.tolist(), strict=True)
        counts.update({(names[code // len(names)], names[code % len(names)]): number for code, number in pairs})
    return counts


def distinct_tags(data: ParquetFile) -> set[str]:
    """All tags of a split."""
    columns = (batch["tags"] for batch in data.iter_batches(BATCH, columns=["tags"]))
    return {tag for column in columns for tag in column.flatten().unique().to_pylist()}


def write_corpus(path: Path, sentences: Iterable[Sentence]) -> None:
    """Writes a split of the corpus, from a stream of its sentences."""
    write_table(path, track(batches(sentences), f"sentences of {path.stem}", None, len), SCHEMA)


def batches(sentences: Iterable[Sentence]) -> Iterator[pa.RecordBatch]:
    """The sentences as batches of rows of a split, at most BATCH in each."""
    stream = iter(sentences)
    while held := list(islice(stream, BATCH)):
        yield pa.RecordBatch.from_pydict({name: [getattr(s, name) for s in held] for name in SCHEMA.names}, SCHEMA)


def open_corpus(split: str, folder: Path) -> ParquetFile:
    """A split of the corpus in a folder. Raises DataError if it is missing."""
    return open_table(folder / f"{split}.parquet")


def stream_corpus(split: str, folder: Path) -> Iterator[Sentence]:
    """The sentences of a split, one after another. Raises DataError if it is missing."""
    return sentences_of(open_corpus(split, folder))


def training_sentences(folder: Path) -> Iterator[Sentence]:
    """All sentences that a model learns from, those of a second task and unlabelled ones included."""
    names = [name for name in ("train", "second", UNLABELLED) if (folder / f"{name}.parquet").exists()]
    return chain.from_iterable(stream_corpus(name, folder) for name in names)


def sentences_of(data: ParquetFile) -> Iterator[Sentence]:
    """The sentences of a split, one after another."""
    for batch in data.iter_batches(BATCH):
        words, tags, lines = (map(tuple, batch[name].to_pylist()) for name in ("words", "tags", "lines"))
        rest = (batch[name].to_pylist() for name in ("document", "text"))
        offsets = (None if row is None else tuple(map(tuple, row)) for row in batch["offsets"].to_pylist())
        yield from map(Sentence, words, tags, batch["file"].to_pylist(), lines, *rest, offsets)


@dataclass(frozen=True)
class CorpusParts:
    """A split, read anew each time in parts of at least BATCH sentences that end between documents.

    Iterating raises DataError if it has no sentence.
    """

    split: str
    folder: Path

    def __iter__(self) -> Iterator[list[Sentence]]:
        part: list[Sentence] = []
        for sentence in stream_corpus(self.split, self.folder):
            if len(part) >= BATCH and (sentence.document is None or sentence.document != part[-1].document):
                yield part
                part = []
            part.append(sentence)
        if not part:
            raise DataError(
                "the split has no sentence", where=self.split, do="add some, or another data.dev or data.test"
            )
        yield part


def load_corpus(split: str, folder: Path) -> list[Sentence]:
    """All sentences of a split in memory. Raises DataError if it is missing."""
    return list(stream_corpus(split, folder))
