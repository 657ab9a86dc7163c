"""The splits, read from their own files or split off from train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow.parquet import ParquetFile

from fpplm_core.data.corpus import BATCH, SCHEMA, write_corpus
from fpplm_core.data.formats import read_sentences
from fpplm_core.data.notes import Notes
from fpplm_core.data.records import Sentence
from fpplm_core.data.settings import DataSettings
from fpplm_core.errors import DataError
from fpplm_core.files import open_table, write_table


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
        part, units = assign_splits(documents_of(whole), shares, np.random.default_rng(settings.split_seed))
    except ValueError as error:
        where = str(Path(settings.path) / settings.train)
        raise DataError("too small to split off dev or test", where=where, got=str(error)) from None
    for split in ("train", *shares):
        write_table(folder / f"{split}.parquet", selected_rows(open_table(whole), part == split), SCHEMA)
    whole.unlink()
    return [
        f"{split} was cut from train: {share:.0%} of its {units[split]}, seed {settings.split_seed}, "
        f"{np.count_nonzero(part == split)} sentences"
        for split, share in shares.items()
    ]


def assign_splits(
    documents: NDArray[np.int32], shares: Mapping[str, float], random: np.random.Generator
) -> tuple[NDArray[np.str_], dict[str, str]]:
    """The split of each sentence, and the unit of each share: whole documents if all are marked (>= 0), else sentences.

    Each share is taken from what the previous shares left. Raises ValueError if that is fewer than two units.
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


def selected_rows(data: ParquetFile, rows: NDArray[np.bool_]) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in data.iter_batches(BATCH):
        yield batch.filter(pa.array(rows[start : start + len(batch)]))
        start += len(batch)


def documents_of(path: Path) -> NDArray[np.int32]:
    """The document of each sentence, -1 if it has none."""
    documents: NDArray[np.int32] = open_table(path).read(["document"])["document"].fill_null(-1).to_numpy()
    return documents


def read_file(path: Path, settings: DataSettings, notes: Notes) -> Iterator[Sentence]:
    """The sentences of a file, read with the settings of the data section. Raises DataError."""
    return read_sentences(path, settings.format, settings.options(notes))
