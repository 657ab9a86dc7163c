"""The splits, read from their own files or split off from train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow.parquet import ParquetFile

from fpplm_core.data.corpus import BATCH, SCHEMA, distinct_tags, write_corpus
from fpplm_core.data.formats import read_sentences
from fpplm_core.data.notes import Notes
from fpplm_core.data.ranks import rank_of
from fpplm_core.data.records import Sentence
from fpplm_core.data.settings import DataSettings
from fpplm_core.errors import DataError
from fpplm_core.files import open_table, write_table
from fpplm_core.tagging.schemes import OUTSIDE, ROLES

MOST_TYPES = 2_000  # the largest sets of tags, of parts of speech with all their features, have some 1,500


def given_splits(settings: DataSettings, notes: Notes) -> dict[str, Iterator[Sentence]]:
    """A stream of sentences for each split that has a file. Raises DataError, also while streaming."""
    folder = Path(settings.path)
    if not folder.is_dir():
        raise DataError("no such folder", where="data.path", got=repr(settings.path), do="name the data folder")
    files = {"train": settings.train, "dev": settings.dev, "test": settings.test}
    return {split: read_file(folder / name, settings, notes) for split, name in files.items() if name}


def write_splits(settings: DataSettings, folder: Path, notes: Notes) -> list[str]:
    """Writes the three splits, splitting those without a file off from train. Returns notes. Raises DataError."""
    splits = given_splits(settings, notes)
    for split, sentences in splits.items():
        write_corpus(folder / f"{split}.parquet", sentences)
    shares = {split: settings.held_out for split in ("test", "dev") if split not in splits}
    if not shares:
        return []
    whole = (folder / "train.parquet").rename(folder / "whole.parquet")
    try:
        types = types_by_sentence(whole, settings.scheme)
        part, what = assign_splits(documents_of(whole), ranks_of(whole, settings.split_seed), types, shares)
    except ValueError as error:
        where, do = str(Path(settings.path) / settings.train), "add data, or name files in data.dev and data.test"
        raise DataError("too small to split off dev or test", where=where, got=str(error), do=do) from None
    for split in ("train", *shares):
        write_table(folder / f"{split}.parquet", selected_rows(open_table(whole), part == split), SCHEMA)
    whole.unlink()
    return [
        f"{split} was cut from train: {share:.0%} of its {what}, seed {settings.split_seed}, "
        f"{np.count_nonzero(part == split)} sentences"
        for split, share in shares.items()
    ]


def assign_splits(
    documents: NDArray[np.int32],
    ranks: NDArray[np.uint64],
    types: Sequence[Collection[str]],
    shares: Mapping[str, float],
) -> tuple[NDArray[np.str_], str]:
    """The split of each sentence, and what the shares are shares of: documents, and sentences outside of documents.

    These are the units, equal ones together as one; if they are fewer than the splits, each different sentence is one.
    The units of a split are those with the lowest ranks that the splits before it left in train, so that most units
    keep their split when others are added; one that has train's last mention of a type stays there. Of each sentence,
    `documents` has the document, negative for none, `ranks` the rank (`ranks.rank_of`), and `types` the types.

    Raises ValueError if nothing can be taken.
    """
    part = np.full(len(documents), "train")
    marked = documents >= 0
    keys = ranks.copy()
    keys[marked] = sums_by(documents[marked], ranks[marked])
    what = "documents" if marked.all() else "documents and sentences outside them" if marked.any() else "sentences"
    if len(np.unique(keys)) <= len(shares) < len(np.unique(ranks)):
        keys, what = ranks, "sentences, as documents are too few"
    for split, share in shares.items():
        rest = np.flatnonzero(part == "train")
        units, unit_of = np.unique(keys[rest], return_inverse=True)
        if len(units) < 2:
            raise ValueError("one distinct document or sentence")
        held: list[Collection[str]] = [()] * len(units)
        for row, number in zip(rest.tolist(), unit_of.tolist(), strict=True):
            held[number] = {*held[number], *types[row]} if held[number] else types[row]
        wanted = min(len(units) - 1, max(1, round(len(units) * share)))
        part[rest[np.isin(unit_of, take_units(held, wanted))]] = split
    return part, what


def sums_by(groups: NDArray[np.int32], values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """For each place, the sum (modulo 2^64) of all values of its group. *Shape:* (places,) all."""
    _, place = np.unique(groups, return_inverse=True)  # the numbers of documents in a file may be any
    sums = np.zeros(int(place.max(initial=-1)) + 1, dtype=np.uint64)
    np.add.at(sums, place, values)
    return sums[place]


def take_units(held: Sequence[Collection[str]], wanted: int) -> list[int]:
    """The first `wanted` units, without those that hold what is left of a type.

    If none of them has a type, the next one that has a type takes the place of the last. `held` are the types of each
    unit. Raises ValueError if no unit may be taken.
    """
    left = Counter(kind for kinds in held for kind in kinds)
    taken, has_type = list[int](), False
    for number, kinds in enumerate(held):
        if len(taken) == wanted and has_type:
            break
        if any(left[kind] == 1 for kind in kinds) or (len(taken) == wanted and not kinds):
            continue
        if len(taken) == wanted:
            taken.pop()
        taken.append(number)
        has_type = has_type or bool(kinds)
        left.subtract(kinds)
    if not taken:
        raise ValueError("every document or sentence has the last mention of a type")
    return taken


def types_by_sentence(path: Path, scheme: str) -> list[frozenset[str]]:
    """The types of each sentence's tags; `scheme` is data.scheme."""
    known: dict[frozenset[str], frozenset[str]] = {}  # most sentences share their tags with others
    found = []
    for batch in open_table(path).iter_batches(BATCH, columns=["tags"]):
        for tags in map(frozenset, batch["tags"].to_pylist()):
            if tags not in known:
                known[tags] = frozenset(kind for tag in tags if (kind := type_in(tag, scheme)))
            found.append(known[tags])
    return found


def type_in(tag: str, scheme: str) -> str:
    """The type that a tag names: without its prefix, or the tag itself if it has none, as in TAGS; "" for O."""
    prefix, _, kind = tag.partition("-")
    if scheme == "TAGS":
        return tag
    return "" if tag == OUTSIDE else kind if prefix in ROLES else tag


def check_number_of_types(data: ParquetFile, scheme: str) -> None:
    """Raises DataError if a split has so many types that words or identifiers were probably read as tags."""
    types = {type_in(tag, scheme) for tag in distinct_tags(data)}
    if len(types) > MOST_TYPES:
        got, do = f"{len(types)}, at most {MOST_TYPES} are read", "is this the tag column? Name it: data.tag_column"
        raise DataError("very many types", where="data.tag_column", got=got, do=do)


def selected_rows(data: ParquetFile, rows: NDArray[np.bool_]) -> Iterator[pa.RecordBatch]:
    """The rows of a split that are to be kept, in batches. *Shape:* rows (sentences,)."""
    start = 0
    for batch in data.iter_batches(BATCH):
        yield batch.filter(pa.array(rows[start : start + len(batch)]))
        start += len(batch)


def ranks_of(path: Path, seed: int) -> NDArray[np.uint64]:
    """The rank of each sentence, by its characters: data.misaligned cuts words where mentions end."""
    batches = open_table(path).iter_batches(BATCH, columns=["words"])
    texts = ("".join(words) for one in batches for words in one["words"].to_pylist())
    return np.fromiter((rank_of([text], seed) for text in texts), dtype=np.uint64)


def documents_of(path: Path) -> NDArray[np.int32]:
    """The document of each sentence, -1 if it has none."""
    documents: NDArray[np.int32] = open_table(path).read(["document"])["document"].fill_null(-1).to_numpy()
    return documents


def read_file(path: Path, settings: DataSettings, notes: Notes) -> Iterator[Sentence]:
    """The sentences of a file, read with the settings of the data section. Raises DataError."""
    return read_sentences(path, settings.format, settings.options(notes))
