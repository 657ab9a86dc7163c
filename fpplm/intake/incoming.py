"""Drops: new annotated files in data.incoming. Good ones go to data.path/drops, where read adds them to train.

A file moves only by renames, and is copied to another file system under a temporary name first: a process killed at
any point leaves every file in exactly one place, and the next run completes its work. One process at a time.
"""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import NamedTuple

from pyarrow.parquet import ParquetFile

from fpplm.checks import suites
from fpplm.checks.console import findings
from fpplm.checks.validation import LISTED, check_corpus, validate
from fpplm_core.data.corpus import SPLITS, TagBigram, open_corpus, tag_bigrams_in, write_corpus
from fpplm_core.data.formats import POINTER, detect
from fpplm_core.data.notes import Notes
from fpplm_core.data.reading import DROPS, finished_files, normalise_tags, scheme_of
from fpplm_core.data.records import Sentence
from fpplm_core.data.splits import read_file, write_splits
from fpplm_core.errors import DataError
from fpplm_core.files import write_text
from fpplm_core.params import Params
from fpplm_core.quality import sentence_table
from fpplm_core.quality.report import CheckResult
from fpplm_core.tagging.schemes import count_violations, detect_scheme

QUARANTINE = "quarantine"
LEAKAGE = ("leakage", "near_leakage")
ACCEPTED = ".accepted-"  # prefix of a file that is being moved to the drops
DIGITS = 8  # of the content's hash, in the name of a drop


class IncomingFile(NamedTuple):
    """A file and its outcome; `reason` and `note` are one line each: why it was refused, and the checks' warnings."""

    name: str
    accepted: bool
    sentences: int
    reason: str
    note: str = ""


class Screening(NamedTuple):
    """The reasons against a file, one per line, the first summing up all; empty if it is accepted."""

    sentences: int
    against: list[str]
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
        corpus = {split: open_corpus(split, Path(folder)) for split in SPLITS}
        scheme, _ = scheme_of(settings.data, corpus.values())
        for path in files:
            verdict = screen(path, drops, corpus, scheme, settings)
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


def screen(path: Path, drops: Path, corpus: Mapping[str, ParquetFile], scheme: str, settings: Params) -> Screening:
    """Checks a file as `fpplm check` does, in the corpus's tag scheme, and against the corpus's dev and test."""
    if fault := name_fault(path):
        return Screening(0, [fault])
    # These say nothing about a drop by itself.
    off = dict.fromkeys(("few_examples", "few_sentences", "always_present"), "off")
    few = settings.check.model_copy(update={"severity": {**settings.check.severity, **off}})
    notes = Notes()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            write_corpus(Path(scratch) / "train.parquet", read_drop(path, settings, notes))
        except DataError as error:
            return Screening(0, [str(error)])
        fault = scheme_fault(tag_bigrams_in(open_corpus("train", Path(scratch))), scheme, settings)
        normalise_tags(["train"], settings.data, Path(scratch), scheme, notes)
        drop = open_corpus("train", Path(scratch))
        sentences = drop.metadata.num_rows
        if known := duplicate(path, drops):
            return Screening(sentences, [known])
        report = check_corpus({"train": drop}, scheme, few, settings.model, settings.encode, None, LISTED)
        checks = report.checks | leakage({**corpus, "train": drop}, settings)
    counts = {
        level: [
            f"{name} {result.found}" for name, result in checks.items() if result.severity == level and result.failed
        ]
        for level in ("error", "warning")
    }
    lines = [f"{level}s: {', '.join(found)}" for level, found in counts.items() if found]
    note = "; ".join([*lines, *notes.lines()])
    if fault or counts["error"]:
        against = "; ".join(part for part in (fault, note) if part)
        return Screening(sentences, [against, *findings(checks, LISTED)])
    return Screening(sentences, [], note)


def read_drop(path: Path, settings: Params, notes: Notes) -> Iterator[Sentence]:
    """The sentences of a file in its detected format. Raises DataError, also if the format needs several files."""
    name, reason = detect(path)
    if name == "brat" or path.name.endswith(POINTER):
        do = "convert it to a single-file format with fpplm convert"
        raise DataError("a drop must be a single file, and this one needs others", where=str(path), got=reason, do=do)
    return read_file(path, settings.data.model_copy(update={"format": name}), notes)


def name_fault(path: Path) -> str:
    if path.is_symlink():
        return "a link; expected a file"
    if not path.name.isprintable():
        return f"unprintable characters in the file's name: {path.name!a}"
    return ""


def duplicate(path: Path, drops: Path) -> str:
    begin = f"{digest(path)}-"
    alike = [p for p in finished_files(drops) if p.name.startswith(begin)]
    same = [p for p in alike if p.name == begin + path.name or filecmp.cmp(p, path, shallow=False)]
    return f"a duplicate: the same content is in the training set as {same[0]}" if same else ""


def digest(path: Path) -> str:
    """The first hexadecimal digits of the content's SHA-256."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:DIGITS]


def leakage(corpus: Mapping[str, ParquetFile], settings: Params) -> dict[str, CheckResult]:
    """The results of the leakage checks that are switched on, with the drop as train."""
    wanted = settings.check
    expected = suites.load(wanted.severities()).get("sentences", [])
    suite = [one for one in expected if suites.name_of(one, "sentences") in LEAKAGE]
    if not suite:
        return {}
    table = sentence_table.sentences(corpus, lambda words: [0] * len(words), 0, wanted.leakage_words, wanted.near)
    return validate({"sentences": [table]}, {"sentences": suite}, LISTED)


def scheme_fault(pairs: Counter[TagBigram], scheme: str, settings: Params) -> str:
    """The reason against a drop whose tags are in another scheme than the corpus's; "" if there is none."""
    if settings.data.scheme == "TAGS":
        return ""
    try:
        own, evidence = detect_scheme(pairs)
    except DataError as error:
        own, evidence = "unknown", error.got
    tags = "TAGS" in (own, scheme)
    if own == scheme or (
        not tags and own != "unknown" and count_violations(pairs, scheme) <= count_violations(pairs, own)
    ):
        return ""
    return f"tags in another scheme ({own}: {evidence}) than the corpus's ({scheme}); convert them"


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
