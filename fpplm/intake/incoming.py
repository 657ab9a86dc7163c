"""Drops: new annotated files in data.incoming. Good ones go to data.path/drops, where read adds them to train.

A file moves only by renames, and is copied to another file system under a temporary name first: a process killed at
any point leaves every file in exactly one place, and the next run completes its work. One process at a time.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import NamedTuple

from fpplm.intake.screening import DIGITS, Known, digest, read_drop, screen
from fpplm_core.data.notes import Notes
from fpplm_core.data.reading import DROPS, finished_files
from fpplm_core.data.splits import write_splits
from fpplm_core.errors import DataError
from fpplm_core.files import write_text
from fpplm_core.params import Params

QUARANTINE = "quarantine"
ACCEPTED = ".accepted-"  # prefix of a file that is being moved to the drops


class IncomingFile(NamedTuple):
    """A file and its outcome; `reason` and `note` are one line each: why it was refused, and the checks' warnings."""

    name: str
    accepted: bool
    sentences: int
    reason: str
    note: str = ""


def take_in(settings: Params) -> list[IncomingFile]:
    """Moves every finished file of data.incoming to data.path/drops or into quarantine, in name order.

    Raises:
        DataError: there is no such folder, or the corpus itself cannot be read.
    """
    if settings.data.incoming is None:
        return []
    incoming, drops = Path(settings.data.incoming), Path(settings.data.path) / DROPS
    if not incoming.is_dir():
        raise DataError("no such folder", where="data.incoming", got=repr(str(incoming)), do="create it, or set null")
    done = [finish_move(claimed, drops, settings) for claimed in sorted(incoming.glob(f"{ACCEPTED}*"))]
    files = finished_files(incoming)
    if not files:
        return done
    with tempfile.TemporaryDirectory() as folder:
        write_splits(settings.data, Path(folder), Notes())
        known = Known.of(Path(folder), settings.data)
        for path in files:
            verdict = screen(path, drops, known, settings)
            if verdict.against:
                quarantine(path, verdict.against)
            else:
                move_to_training_set(path.replace(path.with_name(f"{ACCEPTED}{digest(path)}-{path.name}")), drops)
            reason = next(iter(verdict.against), "")
            done.append(IncomingFile(path.name, not reason, verdict.sentences, reason, verdict.note))
    return done


def finish_move(claimed: Path, drops: Path, settings: Params) -> IncomingFile:
    """Completes the move of a file that a killed run had accepted."""
    target = move_to_training_set(claimed, drops)
    return IncomingFile(target.name[DIGITS + 1 :], True, sum(1 for _ in read_drop(target, settings, Notes())), "")


def quarantine(path: Path, lines: list[str]) -> None:
    """Moves a file to quarantine, last of all: after a kill, it is screened and its reason written again."""
    folder = path.parent / QUARANTINE
    names = (path.name if number == 1 else f"{number}-{path.name}" for number in count(1))
    target = next(place for place in map(folder.joinpath, names) if not os.path.lexists(place))
    write_text(target.with_name(f"{target.name}.reason.txt"), "\n".join(lines) + "\n")
    path.replace(target)


def move_to_training_set(claimed: Path, drops: Path) -> Path:
    """Moves a file whose name marks it as accepted; returns its new path."""
    target = drops / claimed.name.removeprefix(ACCEPTED)
    drops.mkdir(exist_ok=True)
    move(claimed, target)
    return target


def move(source: Path, target: Path) -> None:
    """Moves a file; between file systems, the source is deleted once its copy is complete and on the disk."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        partial = target.with_name(f"{target.name}.partial")
        shutil.copyfile(source, partial)
        sync(partial)
        partial.replace(target)
        sync(target.parent)
        source.unlink()


def sync(path: Path) -> None:
    """Waits until a file, or the entries of a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
