"""Tags whole files into a folder, with one output per file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from fpplm.prediction.inputs import read
from fpplm.prediction.outputs import write_conll, write_jsonl
from fpplm_core.errors import ParamsError
from fpplm_core.serving import Predictor

Kind = Literal["jsonl", "conll"]


def targets_of(sources: Sequence[Path], folder: Path, kind: Kind) -> list[Path]:
    """The output of each file: its name in the folder, with the kind as an additional suffix.

    Raises ParamsError if two files have the same name.
    """
    targets = [folder / f"{source.name}.{kind}" for source in sources]
    if twice := sorted(
        {source.name for source, target in zip(sources, targets, strict=True) if targets.count(target) > 1}
    ):
        raise ParamsError(
            "two files with the same name", where=str(folder), got=", ".join(twice), do="tag them in two runs"
        )
    return targets


def is_current(target: Path, sources: Sequence[Path]) -> bool:
    """Whether a file exists and is newer than its sources."""
    return target.exists() and all(target.stat().st_mtime_ns > source.stat().st_mtime_ns for source in sources)


def tag_file(predictor: Predictor, source: Path, target: Path, kind: Kind) -> int:
    """Tags a file of any format and returns its number of words. The output is written atomically.

    Raises DataError if the file cannot be read.
    """
    write = write_jsonl if kind == "jsonl" else write_conll
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    with partial.open("w", encoding="utf-8") as stream:
        chunks: Iterator[int] = write(predictor, read(str(source), "auto", predictor.segment), stream)
        words = sum(chunks)
    partial.replace(target)
    return words
