"""Incoming files: new annotated files. Good ones are copied to data.path/drops, where read adds them to train.

A file that is accepted is renamed, then copied under a temporary name, and stays in data.incoming until `release`: a
process or a machine that ends at any point loses no file, and the next run completes its work. One process at a time.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import NamedTuple

from fpplm.intake.screening import LONGEST_NAME, Known, digest, screen
from fpplm_core.data.notes import Notes
from fpplm_core.data.reading import DROPS, finished_files
from fpplm_core.data.splits import write_splits
from fpplm_core.errors import DataError
from fpplm_core.files import write_text
from fpplm_core.params import Params

QUARANTINE = "quarantine"
ACCEPTED = re.compile(r"\.accepted-([0-9a-f]{8}-.+)", re.DOTALL)  # the name of an accepted file, and that of its copy


class IncomingFile(NamedTuple):
    """A file and its outcome; `reason` and `note` are one line each: why it was refused, and the checks' warnings."""

    name: str
    accepted: bool
    sentences: int
    reason: str
    note: str = ""


def take_in(settings: Params) -> list[IncomingFile]:
    """Copies every good finished file of data.incoming to data.path/drops, moves others to quarantine, in name order.

    Raises:
        DataError: there is no such folder, or the corpus itself cannot be read.
    """
    if settings.data.incoming is None:
        return []
    incoming, drops = Path(settings.data.incoming), Path(settings.data.path) / DROPS
    if not incoming.is_dir():
        raise DataError("no such folder", where="data.incoming", got=repr(str(incoming)), do="create it, or set null")
    return_unfinished(settings)
    if (taken := incoming / QUARANTINE).is_file():  # the name is that of a folder
        taken.replace(taken.with_name(f"{digest(taken)}-{QUARANTINE}"))
    files = finished_files(incoming)
    if not files:
        return []
    done = []
    with tempfile.TemporaryDirectory() as folder:
        write_splits(settings.data, Path(folder), Notes())
        known = Known.of(Path(folder), settings.data)
        for path in files:
            verdict = screen(path, drops, known, settings)
            if verdict.against:
                quarantine(path, verdict.against)
            else:
                target = drops / f"{digest(path)}-{path.name}"
                copy(path.replace(path.with_name(f".accepted-{target.name}")), target)
            reason = next(iter(verdict.against), "")
            done.append(IncomingFile(path.name, not reason, verdict.sentences, reason, verdict.note))
    return done


def accepted_files(settings: Params) -> dict[Path, Path]:
    """The accepted files that are still in data.incoming, each with the place of its copy."""
    found = sorted(Path(settings.data.incoming).iterdir()) if settings.data.incoming else []
    drops = Path(settings.data.path) / DROPS
    return {path: drops / name[1] for path in found if (name := ACCEPTED.fullmatch(path.name))}


def release(settings: Params) -> None:
    """Removes accepted files from data.incoming: call it once their copies are safe."""
    for path, copied in accepted_files(settings).items():
        if is_copied(path, copied):
            path.unlink()


def return_unfinished(settings: Params) -> None:
    """Gives accepted files without a copy, as in a new clone, their own names again: they are screened again."""
    for path, copied in accepted_files(settings).items():
        own = path.with_name(copied.name.partition("-")[2])
        if not is_copied(path, copied) and not os.path.lexists(own):
            path.replace(own)


def is_copied(path: Path, copied: Path) -> bool:
    return path.is_file() and copied.is_file() and filecmp.cmp(path, copied, shallow=False)


def quarantine(path: Path, lines: list[str]) -> None:
    """Moves a file to quarantine, last of all: after a kill, it is screened and its reason written again."""
    folder = path.parent / QUARANTINE
    short = os.fsencode(path.name)[-LONGEST_NAME:].decode(errors="ignore")
    name = path.name if len(os.fsencode(path.name)) <= LONGEST_NAME else short
    names = (name if number == 1 else f"{number}-{name}" for number in count(1))
    target = next(place for place in map(folder.joinpath, names) if not os.path.lexists(place))
    write_text(target.with_name(f"{target.name}.reason.txt"), "\n".join(lines) + "\n")
    path.replace(target)


def copy(source: Path, target: Path) -> None:
    """Copies a file so that the target is whole and on the disk, or missing."""
    target.parent.mkdir(exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    shutil.copyfile(source, partial)
    sync(partial)
    partial.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Waits until a file, or the entries of a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
