"""read: the raw files in any format become one form, build/corpus/*.parquet, with file and line of every word.

Sentences go from file to file in batches; a split is cut by a number a sentence, so that the whole is never held.
What was changed on the way (mentions, tags) and what was passed over stands in corpus.json, counted, with its places.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, count, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow.parquet import ParquetFile

from fpplm_core import formats, params
from fpplm_core.errors import DataError
from fpplm_core.labels import Detected, detect_scheme, repair
from fpplm_core.notes import Notes
from fpplm_core.params import DataParams
from fpplm_core.text import Sentence
from tasks import BATCH, CORPUS, SPLITS, open_table, run, whole_folder, write_json, write_table

DROPS = "drops"  # folder in data.path: what tasks/incoming.py has accepted since, for train alone
UNFINISHED = (".partial", ".tmp")
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
Pair = tuple[str | None, str | None]


def main() -> None:
    settings = params.load().data
    with whole_folder(CORPUS) as folder:
        notes = read(settings, folder)
    for note in notes:
        print(note)


def read(settings: DataParams, folder: Path) -> list[str]:
    """Writes the splits to a folder, with corpus.json; what is worth saying of them. Raises DataError."""
    seen = Notes()
    notes = write_splits(settings, folder, seen) + add_drops(settings, folder, seen)
    corpus = {split: open_corpus(split, folder) for split in SPLITS}
    scheme, evidence = scheme_of(settings, corpus.values())
    notes.append(f"tag scheme {scheme}: {evidence}")
    for split, data in corpus.items():
        words = sum(len(batch["lines"].flatten()) for batch in data.iter_batches(BATCH, columns=["lines"]))
        print(f"{split}: {data.metadata.num_rows} sentences, {words} words")
    first = pairs_in(corpus["train"]) if settings.second else None
    settle(SPLITS, settings, folder, scheme, seen)
    if settings.second is not None:
        write_corpus(folder / "second.parquet", read_second(settings, corpus["train"], seen))
        second = open_corpus("second", folder)
        if pairs_in(second) == first:
            raise same_task()
        notes.append(f"second task: {second.metadata.num_rows} sentences, {len(distinct_tags(second))} labels")
    notes += seen.lines()
    changes = {kind: {"count": number, "places": seen.places[kind]} for kind, number in seen.counts.items()}
    write_json(folder / "corpus.json", {"scheme": scheme, "evidence": evidence, "notes": notes, "changes": changes})
    return notes


def settle(splits: Iterable[str], settings: DataParams, folder: Path, scheme: str, notes: Notes) -> None:
    """What is done to the tags of these splits once their scheme is known.

    With data.repair, illegal transitions are mended and noted. A tag a word (TAGS) becomes an entity of that word.
    """

    def mended(sentence: Sentence) -> Sentence:
        tags = tuple(repair(sentence.tags, scheme, settings.repair))
        for line, old, new in zip(sentence.lines, sentence.tags, tags, strict=True):
            if old != new:
                notes.add(f"tags repaired ({settings.repair})", f"{sentence.file}:{line}: {old} to {new}")
        return replace(sentence, tags=tags)

    def entities(sentence: Sentence) -> Sentence:
        return replace(sentence, tags=tuple(f"S-{tag}" if tag else tag for tag in sentence.tags))

    if scheme == "TAGS" or settings.repair != "refuse":
        for split in splits:
            path = folder / f"{split}.parquet"
            before = path.rename(folder / "before.parquet")
            write_corpus(path, map(entities if scheme == "TAGS" else mended, sentences_of(open_table(before))))
            before.unlink()


def given(settings: DataParams, notes: Notes) -> dict[str, Iterator[Sentence]]:
    """The sentences of each split that has a file, as streams. Raises DataError, also while they are read."""
    folder = Path(settings.path)
    if not folder.is_dir():
        raise DataError("no such folder", where="data.path", got=repr(settings.path), do="name the folder of the data")
    files = {"train": settings.train, "dev": settings.dev, "test": settings.test}
    return {split: read_file(folder / name, settings, notes) for split, name in files.items() if name}


def write_splits(settings: DataParams, folder: Path, notes: Notes) -> list[str]:
    """The three splits, cut from train where a file is not given; what was done in words. Raises DataError."""
    splits = given(settings, notes)
    for split, sentences in splits.items():
        write_corpus(folder / f"{split}.parquet", sentences)
    shares = {"test": settings.test_fraction, "dev": settings.dev_fraction}
    shares = {split: share for split, share in shares.items() if split not in splits}
    if not shares:
        return []
    whole = (folder / "train.parquet").rename(folder / "whole.parquet")
    try:
        part, units = cut(documents_of(whole), shares, np.random.default_rng(settings.split_seed))
    except ValueError as error:
        where = str(Path(settings.path) / settings.train)
        raise DataError("too small to cut a split from", where=where, got=str(error)) from None
    for split in ("train", *shares):
        write_table(folder / f"{split}.parquet", chosen(open_table(whole), part == split), SCHEMA)
    whole.unlink()
    return [
        f"{split} was cut from train: {share:.0%} of its {units[split]}, seed {settings.split_seed}, "
        f"{np.count_nonzero(part == split)} sentences"
        for split, share in shares.items()
    ]


def cut(
    documents: NDArray[np.int32], shares: Mapping[str, float], random: np.random.Generator
) -> tuple[NDArray[np.str_], dict[str, str]]:
    """(split of each sentence, unit of each share): whole documents where all are marked (>= 0), else sentences.

    Each share is taken of what those before it left. Raises ValueError where that is less than two units.
    """
    part = np.full(len(documents), "train")
    unit = {}
    for split, share in shares.items():
        rest = np.flatnonzero(part == "train")
        by_document = bool((documents[rest] >= 0).all())
        keys = documents[rest] if by_document else rest
        units = np.unique(keys)
        if len(units) < 2:
            raise ValueError("one document or sentence")
        number = min(len(units) - 1, max(1, round(len(units) * share)))
        part[rest[np.isin(keys, units[random.permutation(len(units))[:number]])]] = split
        unit[split] = "documents" if by_document else "sentences"
    return part, unit


def chosen(data: ParquetFile, rows: NDArray[np.bool_]) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in data.iter_batches(BATCH):
        yield batch.filter(pa.array(rows[start : start + len(batch)]))
        start += len(batch)


def documents_of(path: Path) -> NDArray[np.int32]:
    """The document of each sentence, -1 where none is marked."""
    documents: NDArray[np.int32] = open_table(path).read(["document"])["document"].fill_null(-1).to_numpy()
    return documents


def add_drops(settings: DataParams, folder: Path, notes: Notes) -> list[str]:
    """Puts the sentences of data.path/drops behind those of train; what was done in words. Raises DataError.

    It comes after dev and test are cut, which so remain what they were. The drops' documents get numbers of their own.
    """
    files = finished(Path(settings.path) / DROPS)
    if not files:
        return []
    settings = settings.model_copy(update={"format": "auto"})  # each by itself
    own = (folder / "train.parquet").rename(folder / "own.parquet")
    numbers = count(int(documents_of(own).max(initial=-1)) + 1)
    added = chain.from_iterable(renumbered(read_file(file, settings, notes), numbers) for file in files)
    train = open_table(own)
    write_table(folder / "train.parquet", chain(train.iter_batches(BATCH), batches(added)), SCHEMA)
    own.unlink()
    more = open_corpus("train", folder).metadata.num_rows - train.metadata.num_rows
    return [f"{DROPS}: {more} sentences of {len(files)} file(s) were added to train"]


def finished(folder: Path) -> list[Path]:
    """The files of a folder in name order, without hidden ones and others that are still being written."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [p for p in found if p.is_file() and not p.name.startswith(".") and p.suffix not in UNFINISHED]


def read_file(path: Path, settings: DataParams, notes: Notes) -> Iterator[Sentence]:
    """The sentences of a file as data.format and its other settings say. Raises DataError."""
    return formats.read_sentences(path, settings.format, settings.options(notes))


def renumbered(sentences: Iterable[Sentence], numbers: Iterator[int]) -> Iterator[Sentence]:
    """The same sentences, the documents that they mark numbered in turn."""
    known: dict[int, int] = defaultdict(lambda: next(numbers))
    for s in sentences:
        yield s if s.document is None else replace(s, document=known[s.document])


def same_task() -> DataError:
    do = "give another tag_column or another train"
    return DataError("the second task is the first", where="data.second", do=do)


def read_second(settings: DataParams, train: ParquetFile, notes: Notes) -> Iterator[Sentence]:
    """The sentences of the second task; where they are train's own, without what was cut from it. Raises DataError."""
    own = settings.model_copy(update=settings.second.model_dump(exclude_none=True) if settings.second else {})
    if (own.train, own.format, own.tag_column) == (settings.train, settings.format, settings.tag_column):
        raise same_task()
    path = Path(own.path) / own.train
    second = read_file(path, own, notes)
    if own.train != settings.train:
        return second
    rows = (row for batch in train.iter_batches(BATCH, columns=["file", "lines"]) for row in batch.to_pylist())
    kept = {row["lines"][0] for row in rows if row["file"] == str(path)}  # drops have no labels of a second task
    return (s for s in second if s.lines[0] in kept)


def scheme_of(settings: DataParams, corpus: Iterable[ParquetFile]) -> Detected:
    """The tag scheme that data.scheme names, or all tags show where it is auto. Raises DataError."""
    if settings.scheme != "auto":
        return Detected(settings.scheme, "as data.scheme says")
    return detect_scheme(sum(map(pairs_in, corpus), Counter[Pair]()))


def pairs_in(data: ParquetFile) -> Counter[Pair]:
    """How often each tag stands behind each other one; None is a sentence's edge."""
    counts = Counter[Pair]()
    for batch in data.iter_batches(BATCH, columns=["tags"]):
        encoded = batch["tags"].flatten().dictionary_encode()
        names = [*encoded.dictionary.to_pylist(), None]
        edge, tags = len(names) - 1, encoded.indices.to_numpy().astype(np.int64)
        lengths = batch["tags"].value_lengths().to_numpy()
        ends = np.cumsum(lengths[lengths > 0])
        row = np.insert(tags, ends, edge)  # an edge behind every sentence
        codes, times = np.unique(np.append(edge, row[:-1]) * len(names) + row, return_counts=True)
        pairs = zip(codes.tolist(), times.tolist(), strict=True)
        counts.update({(names[code // len(names)], names[code % len(names)]): number for code, number in pairs})
    return counts


def distinct_tags(data: ParquetFile) -> set[str]:
    columns = (batch["tags"] for batch in data.iter_batches(BATCH, columns=["tags"]))
    return {tag for column in columns for tag in column.flatten().unique().to_pylist()}


def write_corpus(path: Path, sentences: Iterable[Sentence]) -> None:
    write_table(path, batches(sentences), SCHEMA)


def batches(sentences: Iterable[Sentence]) -> Iterator[pa.RecordBatch]:
    stream = iter(sentences)
    while held := list(islice(stream, BATCH)):
        yield pa.RecordBatch.from_pydict({name: [getattr(s, name) for s in held] for name in SCHEMA.names}, SCHEMA)


def as_corpus(
    files: Mapping[str, Iterable[Path]], settings: DataParams, folder: Path, notes: Notes
) -> tuple[dict[str, ParquetFile], str, str]:
    """Files as the splits of a corpus in `folder`, its tag scheme and what speaks for it. Raises DataError."""
    for split, paths in files.items():
        sentences = (read_file(path, settings, notes) for path in paths)
        write_corpus(folder / f"{split}.parquet", chain.from_iterable(sentences))
    scheme, evidence = scheme_of(settings, (open_corpus(split, folder) for split in files))
    settle(files, settings, folder, scheme, notes)
    return {split: open_corpus(split, folder) for split in files}, scheme, evidence


def open_corpus(split: str, folder: Path = CORPUS) -> ParquetFile:
    """A split as this stage wrote it. Raises DataError where it is missing."""
    return open_table(folder / f"{split}.parquet")


def stream_corpus(split: str, folder: Path = CORPUS) -> Iterator[Sentence]:
    """The sentences of a split, one after another. Raises DataError where it is missing."""
    return sentences_of(open_corpus(split, folder))


def sentences_of(data: ParquetFile) -> Iterator[Sentence]:
    for batch in data.iter_batches(BATCH):
        words, tags, lines = (map(tuple, batch[name].to_pylist()) for name in ("words", "tags", "lines"))
        rest = (batch[name].to_pylist() for name in ("document", "text"))
        offsets = (None if row is None else tuple(map(tuple, row)) for row in batch["offsets"].to_pylist())
        yield from map(Sentence, words, tags, batch["file"].to_pylist(), lines, *rest, offsets)


def load_corpus(split: str, folder: Path = CORPUS) -> list[Sentence]:
    """A split as a whole, for those that need it in memory. Raises DataError where it is missing."""
    return list(stream_corpus(split, folder))


if __name__ == "__main__":
    run(main)
