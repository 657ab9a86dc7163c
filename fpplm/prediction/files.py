"""Tags whole files into a folder, with one output per file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from fpplm.prediction.inputs import accepted, read, reading_options
from fpplm.prediction.outputs import tag_texts
from fpplm.prediction.records import Kind, without_unwritable
from fpplm_core.data.notes import Notes
from fpplm_core.errors import ParamsError
from fpplm_core.files import whole_file
from fpplm_core.serving import Predictor


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


def tag_file(predictor: Predictor, source: Path, target: Path, kind: Kind, resume: bool = False) -> int:
    """Tags a file of any format and returns its number of words.

    The output is named TARGET.partial until it is complete. With `resume` an earlier TARGET.partial is gone on with.
    Raises DataError if the file cannot be read, or if the earlier output is not of this file.
    """
    notes = Notes()
    found = read(str(source), "auto", reading_options(predictor.word_ranges, notes=notes))
    texts = accepted(without_unwritable(found, kind), skip=False)
    with whole_file(target) as partial:
        words = sum(tag_texts(predictor, texts, str(partial), kind, resume))
    for line in notes.lines():
        print(f"{target}: {line}", file=sys.stderr)
    return words
