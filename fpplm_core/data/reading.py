"""Reads annotated files of any format into a corpus: uniform splits, with the file and line of every word.

Sentences pass from file to file in batches, so that memory stays bounded. What reading changed (mentions, tags) or left
out is counted in corpus.json, with its places.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

import pyarrow.compute as pc
from pyarrow.parquet import ParquetFile

from fpplm_core.data.corpus import (
    BATCH,
    INFO,
    SCHEMA,
    SPLITS,
    UNLABELLED,
    Change,
    CorpusInfo,
    TagBigram,
    batches,
    distinct_tags,
    open_corpus,
    sentences_of,
    stream_corpus,
    tag_bigrams_in,
    write_corpus,
)
from fpplm_core.data.descriptions import describe_types
from fpplm_core.data.notes import Notes
from fpplm_core.data.overlap import HeldOut
from fpplm_core.data.records import Sentence
from fpplm_core.data.repair import repaired
from fpplm_core.data.settings import DataSettings
from fpplm_core.data.splits import check_number_of_types, documents_of, read_file, write_splits
from fpplm_core.data.unlabelled import read_texts, sample
from fpplm_core.errors import DataError
from fpplm_core.files import open_table, write_record, write_table
from fpplm_core.tagging.schemes import Detected, detect_scheme
from fpplm_core.tagging.spans import types_of

DROPS = "drops"  # folder in data.path with files that were accepted later, for train only
LEFT_OUT = "incoming sentences that dev or test have, left out of train"
TEXTS = (".txt", ".jsonl")  # files of unlabelled text
MOST_TEXTS = 20_000  # unlabelled sentences in a run; most runs have too few steps to use more
UNFINISHED = (".partial", ".tmp")


def read_corpus(settings: DataSettings, folder: Path) -> CorpusInfo:
    """Writes the splits and corpus.json to a folder. Raises DataError, and ParamsError for a wrong data.describe."""
    seen = Notes()
    notes = write_splits(settings, folder, seen)
    first = tag_bigrams_in(open_corpus("train", folder)) if settings.second else None  # drops have no second task
    notes += add_drops(settings, folder, seen)
    notes += add_unlabelled(settings, folder, seen)
    corpus = {split: open_corpus(split, folder) for split in SPLITS}
    scheme, evidence = scheme_of(settings, corpus.values())
    notes.append(f"tag scheme {scheme}: {evidence}")
    for split, data in corpus.items():
        words = sum(len(batch["lines"].flatten()) for batch in data.iter_batches(BATCH, columns=["lines"]))
        print(f"{split}: {data.metadata.num_rows} sentences, {words} words")
    normalise_tags(SPLITS, settings, folder, scheme, seen)
    if settings.second is not None:
        write_corpus(folder / "second.parquet", read_second(settings, corpus["train"], seen))
        second = open_corpus("second", folder)
        check_number_of_types(second, settings.scheme)
        if tag_bigrams_in(second) == first:
            raise same_task()
        notes.append(f"second task: {second.metadata.num_rows} sentences, {len(distinct_tags(second))} labels")
    descriptions = describe_types(settings, types_of([distinct_tags(open_corpus("train", folder))]))
    notes += seen.lines()
    changes = {kind: Change(number, seen.places[kind]) for kind, number in seen.counts.items()}
    info = CorpusInfo(scheme, evidence, notes, changes, descriptions)
    write_record(folder / INFO, info)
    return info


def normalise_tags(splits: Iterable[str], settings: DataSettings, folder: Path, scheme: str, notes: Notes) -> None:
    """Rewrites the tags of these splits once their scheme is known.

    With data.repair, illegal transitions are repaired and noted. In TAGS, the tag of each word becomes an entity.
    """

    def normalised(sentence: Sentence) -> Sentence:
        if scheme == "TAGS":
            return replace(sentence, tags=tuple(f"S-{tag}" if tag else tag for tag in sentence.tags))
        return repaired(sentence, scheme, settings.repair, notes)

    if scheme == "TAGS" or settings.repair != "refuse":
        for split in splits:
            path = folder / f"{split}.parquet"
            before = path.rename(folder / "before.parquet")
            write_corpus(path, map(normalised, sentences_of(open_table(before))))
            before.unlink()


def add_drops(settings: DataSettings, folder: Path, notes: Notes) -> list[str]:
    """Appends the sentences of data.path/drops to train and returns notes for the user. Raises DataError.

    Dev and test have already been split off and do not change. Sentences that they have are left out and noted. The
    documents of drops get new numbers.
    """
    files = finished_files(Path(settings.path) / DROPS)
    if not files:
        return []
    settings = settings.model_copy(update={"format": "auto"})  # each file by itself
    held_out = held_out_of(folder)
    own = (folder / "train.parquet").rename(folder / "own.parquet")
    taken = set(documents_of(own).tolist())
    higher = range(max(taken, default=-1) + 1, 2**31)  # what the corpus can store
    numbers = (number for number in chain(higher, count()) if number not in taken)
    read = (without_held_out(read_file(file, settings, notes), held_out, notes) for file in files)
    added = chain.from_iterable(renumber_documents(sentences, numbers) for sentences in read)
    train = open_table(own)
    write_table(folder / "train.parquet", chain(train.iter_batches(BATCH), batches(added)), SCHEMA)
    own.unlink()
    more = open_corpus("train", folder).metadata.num_rows - train.metadata.num_rows
    return [f"incoming files: {more} sentences of {len(files)} file(s) were added to train"]


def add_unlabelled(settings: DataSettings, folder: Path, notes: Notes) -> list[str]:
    """Writes a sample of data.unlabelled, without sentences that dev or test have; returns notes. Raises DataError."""
    if settings.unlabelled is None:
        return []
    files = text_files(Path(settings.unlabelled), "data.unlabelled")
    options = settings.options(notes)
    texts = chain.from_iterable(read_texts(file, options) for file in files)
    drawn = sample(texts, MOST_TEXTS, settings.split_seed)
    kept = list(without_held_out(drawn, held_out_of(folder), notes, "unlabelled sentences that dev or test have"))
    if not kept:
        do = "put sentences into it, one a line, that dev and test lack"
        raise DataError("no text to learn from", where="data.unlabelled", got=settings.unlabelled, do=do)
    write_corpus(folder / f"{UNLABELLED}.parquet", kept)
    return [f"unlabelled: {len(kept)} sentences, drawn from {len(files)} file(s)"]


def text_files(folder: Path, where: str) -> list[Path]:
    """The files of unlabelled text in a folder.

    Raises DataError if there are none; `where` is the parameter or option that named the folder.
    """
    files = [file for file in finished_files(folder) if file.suffix in TEXTS]
    if not files:
        what = "no file of text in it" if folder.is_dir() else "no such folder"
        raise DataError(what, where=where, got=repr(str(folder)), do=f"put files named *{' or *'.join(TEXTS)} into it")
    return files


def held_out_of(folder: Path) -> HeldOut:
    """The sentences of dev and test in a folder, for `without_held_out`; sentences of train may recur elsewhere."""
    train, *others = (stream_corpus(split, folder) for split in SPLITS)
    return HeldOut(chain(*others), known=train)


def without_held_out(
    sentences: Iterable[Sentence], held_out: HeldOut, notes: Notes, kind: str = LEFT_OUT
) -> Iterator[Sentence]:
    """The sentences that do not overlap with dev or test; the others are noted under `kind`."""
    for sentence, other in held_out.find(sentences):
        if other is None:
            yield sentence
        else:
            notes.add(kind, f"{sentence.place}: as {held_out.places[other]}")


def finished_files(folder: Path) -> list[Path]:
    """The files of a folder in name order, without hidden files and files that are still being written."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [p for p in found if p.is_file() and not p.name.startswith(".") and p.suffix not in UNFINISHED]


def renumber_documents(sentences: Iterable[Sentence], numbers: Iterator[int]) -> Iterator[Sentence]:
    """The sentences with new numbers for their documents."""
    known: dict[int, int] = defaultdict(lambda: next(numbers))
    for s in sentences:
        yield s if s.document is None else replace(s, document=known[s.document])


def same_task() -> DataError:
    """The error about a second task whose tags are those of the first."""
    do = "give another tag_column or another train"
    return DataError("the second task is the same as the first", where="data.second", do=do)


def read_second(settings: DataSettings, train: ParquetFile, notes: Notes) -> Iterator[Sentence]:
    """The sentences of the second task; if read from train's file, only those still in train. Raises DataError."""
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


def scheme_of(settings: DataSettings, corpus: Iterable[ParquetFile]) -> Detected:
    """The tag scheme that data.scheme names, or for auto the scheme detected from all tags. Raises DataError."""
    splits = list(corpus)
    for data in splits:
        check_number_of_types(data, settings.scheme)
    if settings.scheme != "auto":
        return Detected(settings.scheme, "set by data.scheme")
    found = detect_scheme(sum(map(tag_bigrams_in, splits), Counter[TagBigram]()))
    if found.scheme == "TAGS":
        texts, total = (sum(counts) for counts in zip(*map(_words_with_blanks, splits), strict=True))
        if texts > total / 2:
            got = f"{texts} of {total} words consist of several words"
            do = "give one word per row, or set data.scheme: TAGS if this is right"
            raise DataError("this looks like labels of whole texts", where="data.scheme", got=got, do=do)
    return found


def _words_with_blanks(data: ParquetFile) -> tuple[int, int]:
    """How many words of a split hold a blank, and how many there are."""
    columns = [batch["words"].flatten() for batch in data.iter_batches(BATCH, columns=["words"])]
    return sum(pc.sum(pc.match_substring(words, " ")).as_py() or 0 for words in columns), sum(map(len, columns))


def corpus_of_files(
    files: Mapping[str, Iterable[Path]], settings: DataSettings, folder: Path, notes: Notes
) -> tuple[dict[str, ParquetFile], str, str]:
    """Writes files as splits of a corpus to a folder. Returns splits, tag scheme and its evidence. Raises DataError."""
    for split, paths in files.items():
        sentences = (read_file(path, settings, notes) for path in paths)
        write_corpus(folder / f"{split}.parquet", chain.from_iterable(sentences))
    scheme, evidence = scheme_of(settings, (open_corpus(split, folder) for split in files))
    normalise_tags(files, settings, folder, scheme, notes)
    return {split: open_corpus(split, folder) for split in files}, scheme, evidence
