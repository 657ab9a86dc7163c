"""read: the raw files in any format become one form, build/corpus/*.parquet, with file and line of every word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from fpplm_core import formats, params
from fpplm_core.errors import DataError
from fpplm_core.labels import detect_scheme
from fpplm_core.params import DataParams
from fpplm_core.text import Sentence
from tasks import CORPUS, SPLITS, read_table, run, write_json, write_table

TYPES = {
    "words": pa.list_(pa.string()),
    "tags": pa.list_(pa.string()),
    "file": pa.string(),
    "lines": pa.list_(pa.int32()),
    "document": pa.int32(),
}


def main() -> None:
    settings = params.load().data
    splits, notes = read_splits(settings)
    scheme = settings.scheme
    if scheme == "auto":
        scheme = detect_scheme(tag for sentences in splits.values() for s in sentences for tag in s.tags)
        notes.append(f"tag scheme {scheme}, seen from the tags")
    for split, sentences in splits.items():
        write_corpus(CORPUS / f"{split}.parquet", sentences)
        print(f"{split}: {len(sentences)} sentences, {sum(len(s.words) for s in sentences)} words")
    (CORPUS / "second.parquet").unlink(missing_ok=True)
    if settings.second is not None:
        second = read_second(settings, splits["train"])
        write_corpus(CORPUS / "second.parquet", second)
        notes.append(f"second task: {len(second)} sentences, {len({t for s in second for t in s.tags})} labels")
    write_json(CORPUS / "corpus.json", {"scheme": scheme, "notes": notes})
    for note in notes:
        print(note)


def read_splits(settings: DataParams) -> tuple[dict[str, list[Sentence]], list[str]]:
    """The three splits, cut from train where a file is not given, and what was done in words. Raises DataError."""
    reader = formats.get(settings.format)
    folder = Path(settings.path)
    if not folder.is_dir():
        raise DataError("no such folder", where="data.path", got=repr(settings.path), do="name the folder of the data")
    files = {"train": settings.train, "dev": settings.dev, "test": settings.test}
    splits = {split: list(reader.read(folder / name, settings)) for split, name in files.items() if name}
    notes = []
    random = np.random.default_rng(settings.split_seed)
    for split, share in (("test", settings.test_fraction), ("dev", settings.dev_fraction)):
        if split not in splits:
            splits["train"], splits[split], unit = cut(splits["train"], share, random)
            notes.append(
                f"{split} was cut from train: {share:.0%} of its {unit}, seed {settings.split_seed}, "
                f"{len(splits[split])} sentences"
            )
    return {split: splits[split] for split in SPLITS}, notes


def read_second(settings: DataParams, train: list[Sentence]) -> list[Sentence]:
    """The sentences of the second task; where they are train's own, without what was cut from it. Raises DataError."""
    own = settings.model_copy(update=settings.second.model_dump(exclude_none=True) if settings.second else {})
    if (own.train, own.format, own.tag_column) == (settings.train, settings.format, settings.tag_column):
        raise DataError(
            "the second task is the first", where="data.second", do="give another tag_column or another train"
        )
    second = list(formats.get(own.format).read(Path(own.path) / own.train, own))
    if own.train != settings.train:
        return second
    kept = {s.lines for s in train}
    return [s for s in second if s.lines in kept]


def cut(
    sentences: list[Sentence], share: float, random: np.random.Generator
) -> tuple[list[Sentence], list[Sentence], str]:
    """(kept, taken, unit): whole documents where they are marked, else sentences. Raises DataError below two."""
    by_document = sentences[0].document is not None
    keys = [s.document if by_document else index for index, s in enumerate(sentences)]
    units = sorted(Counter(keys))
    if len(units) < 2:
        raise DataError("too small to cut a split from", where=sentences[0].file, got="one document or sentence")
    number = min(len(units) - 1, max(1, round(len(units) * share)))
    taken = {units[index] for index in random.permutation(len(units))[:number]}
    return (
        [s for s, key in zip(sentences, keys, strict=True) if key not in taken],
        [s for s, key in zip(sentences, keys, strict=True) if key in taken],
        "documents" if by_document else "sentences",
    )


def write_corpus(path: Path, sentences: list[Sentence]) -> None:
    write_table(path, {name: [getattr(s, name) for s in sentences] for name in TYPES}, TYPES)


def load_corpus(split: str, folder: Path = CORPUS) -> list[Sentence]:
    """A split as this stage wrote it. Raises DataError where it is missing."""
    rows = read_table(folder / f"{split}.parquet")
    return [
        Sentence(tuple(words), tuple(tags), file, tuple(lines), document)
        for words, tags, file, lines, document in zip(*(rows[name] for name in TYPES), strict=True)
    ]


if __name__ == "__main__":
    run(main)
