"""Tags whole files into a folder, with one output per file.

Beside each output, a hidden file records what it was made of.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fpplm.prediction.inputs import accepted, read, reading_options
from fpplm.prediction.lines import is_pipe
from fpplm.prediction.outputs import tag_texts
from fpplm.prediction.records import Kind, without_unwritable
from fpplm_core.data.notes import Notes
from fpplm_core.data.text_files import unreadable
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.escaping import printable
from fpplm_core.files import file_sha256, whole_file, write_json
from fpplm_core.serving import Predictor


def targets_of(sources: Sequence[Path], folder: Path, kind: Kind) -> list[Path]:
    """The output of each file: its name in the folder, with the kind as an additional suffix.

    Raises ParamsError if two files have the same name, or if an output would replace one of the files.
    """
    targets = [folder / f"{source.name}.{kind}" for source in sources]
    if twice := sorted(
        {source.name for source, target in zip(sources, targets, strict=True) if targets.count(target) > 1}
    ):
        raise ParamsError(
            "two files with the same name", where=str(folder), got=", ".join(twice), do="tag them in two runs"
        )
    inputs = {source.resolve() for source in sources}
    for target in targets:
        written = (target, target.with_name(f"{target.name}.partial"), _record_of(target))
        if replaced := [path for path in written if path.resolve() in inputs]:
            raise ParamsError("an output would replace an input", where=str(replaced[0]), do="name another folder")
    return targets


def is_current(predictor: Predictor, source: Path, target: Path) -> bool:
    """Whether an output exists that this variant of this bundle made from the file as it is now.

    Raises DataError if the file cannot be read.
    """
    try:
        recorded = json.loads(_record_of(target).read_bytes())
    except (OSError, ValueError):
        return False
    return target.exists() and bool(recorded == _origin(predictor, source))


def tag_file(predictor: Predictor, source: Path, target: Path, kind: Kind, resume: bool = False) -> int:
    """Tags a file of any format and returns its number of words.

    The output is named TARGET.partial until it is complete. With `resume`, an earlier TARGET.partial is continued.
    Raises DataError if the file cannot be read, or if the earlier output is not of this file.
    """
    origin, notes = _origin(predictor, source), Notes()
    found = read(str(source), "auto", reading_options(predictor.word_ranges, notes=notes))
    texts = accepted(without_unwritable(found, kind), skip=False)
    with whole_file(target) as partial:
        words = sum(tag_texts(predictor, texts, str(partial), kind, resume))
        _record_of(target).unlink(missing_ok=True)  # it is of the output that is replaced
    write_json(_record_of(target), origin)
    for line in notes.lines():
        print(printable(f"{target}: {line}"), file=sys.stderr)
    return words


def _record_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.json")


def _origin(predictor: Predictor, source: Path) -> dict[str, Any]:
    """The inputs of an output: the bundle, its variant, and the content of a file or of a folder's files."""
    if is_pipe(str(source)):
        raise DataError("not a regular file", where=str(source), do="name regular files or folders, or omit --folder")
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    try:
        hashes = {path.relative_to(source.parent).as_posix(): file_sha256(path) for path in files}
    except OSError as error:
        raise unreadable(source, error, do="") from None
    return {"bundle": predictor.bundle.manifest["digest"], "variant": predictor.variant, "sources": hashes}
