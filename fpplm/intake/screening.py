"""Decides whether a file may join train: by its name, format, tag scheme, types, findings, and dev and test."""

from __future__ import annotations

import filecmp
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from fpplm.checks.console import findings
from fpplm_core.data.corpus import SPLITS, TagBigram, open_corpus, sentences_of, tag_bigrams_in, write_corpus
from fpplm_core.data.formats import POINTER, detect
from fpplm_core.data.notes import Notes
from fpplm_core.data.overlap import HeldOut
from fpplm_core.data.reading import finished_files, held_out_of, normalise_tags, scheme_of, without_held_out
from fpplm_core.data.records import Sentence
from fpplm_core.data.settings import DataSettings
from fpplm_core.data.splits import read_file
from fpplm_core.errors import DataError
from fpplm_core.files import file_sha256
from fpplm_core.params import Params
from fpplm_core.tagging.schemes import count_violations, detect_scheme
from fpplm_core.tagging.spans import spans_from_tags

DIGITS = 8  # of the content's hash, in the name of a drop
SHOWN = 5  # unknown types in a reason
LONGEST_NAME = 200  # bytes of a file's name, which has up to 255 with what is added to it


class Screening(NamedTuple):
    """The reasons against a file, one per line, the first summing up all; empty if it is accepted."""

    sentences: int
    against: list[str]
    note: str = ""


class Known(NamedTuple):
    """The corpus that drops are added to: its tag scheme, the types that it admits, and its dev and test sentences."""

    scheme: str
    types: set[str]
    held_out: HeldOut

    @classmethod
    def of(cls, folder: Path, settings: DataSettings) -> Known:
        """The corpus in a folder, before drops were added."""
        corpus = [open_corpus(split, folder) for split in SPLITS]
        scheme, _ = scheme_of(settings, corpus)
        types = {kind for split in corpus for kind, _ in places_of_types(sentences_of(split), scheme)}
        return cls(scheme, set(settings.types) or types, held_out_of(folder))


def screen(path: Path, drops: Path, known: Known, settings: Params) -> Screening:
    """Checks a file as `fpplm check` does, in the corpus's tag scheme, and against its types, dev and test."""
    from fpplm.checks.validation import LISTED, check_corpus  # takes seconds; most runs have nothing to screen

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
        drop = open_corpus("train", Path(scratch))
        if copy := duplicate(path, drops):
            return Screening(drop.metadata.num_rows, [copy])
        scheme = scheme_fault(tag_bigrams_in(drop), known.scheme, settings)
        faults = [scheme] if scheme else type_faults(sentences_of(drop), known)
        kept = sum(1 for _ in without_held_out(sentences_of(drop), known.held_out, notes))
        if drop.metadata.num_rows and not kept:
            faults.append("dev or test have all of its sentences, so none is new")
        normalise_tags(["train"], settings.data, Path(scratch), known.scheme, notes)
        drop = open_corpus("train", Path(scratch))
        report = check_corpus({"train": drop}, known.scheme, few, settings.model, settings.encode, None, LISTED)
    counts = {
        level: [
            f"{name} {result.found}"
            for name, result in report.checks.items()
            if result.severity == level and result.failed
        ]
        for level in ("error", "warning")
    }
    lines = [f"{level}s: {', '.join(found)}" for level, found in counts.items() if found]
    note = "; ".join([*lines, *notes.lines()])
    if faults or counts["error"]:
        against = "; ".join(part for part in (*faults, note) if part)
        return Screening(kept, [against, *findings(report.checks, LISTED)])
    return Screening(kept, [], note)


def type_faults(sentences: Iterable[Sentence], known: Known) -> list[str]:
    """The reasons against a drop with a type that the corpus does not admit, one a type, or without any type."""
    places: dict[str, list[str]] = {}
    for kind, place in places_of_types(sentences, known.scheme):
        places.setdefault(kind, []).append(place)
    if not places:
        return ["it has no entity"]
    folded = {name.casefold(): name for name in sorted(known.types)}
    faults = []
    unknown = sorted(places.keys() - known.types)
    for kind in unknown[:SHOWN]:
        near = get_close_matches(kind.casefold(), folded, 1)
        do = f"write {folded[near[0]]!r} if that is meant" if near else "correct it"
        listed = json.dumps([*sorted(known.types), kind], ensure_ascii=False)
        said = f"the type {kind!r} is unknown: {len(places[kind])} mention(s), the first at {places[kind][0]}"
        faults.append(f"{said}; {do}, or admit it with data.types: {listed}")
    return faults if len(unknown) <= SHOWN else [*faults, f"{len(unknown) - SHOWN} more unknown types"]


def read_drop(path: Path, settings: Params, notes: Notes) -> Iterator[Sentence]:
    """The sentences of a file in its detected format. Raises DataError, also if the format needs several files."""
    name, reason = detect(path)
    if name == "brat" or path.name.endswith(POINTER):
        do = "convert it to a single-file format with fpplm convert"
        raise DataError("an incoming file must be complete in itself", where=str(path), got=reason, do=do)
    return read_file(path, settings.data.model_copy(update={"format": name}), notes)


def name_fault(path: Path) -> str:
    if path.is_symlink():
        return "a link; expected a file"
    if not path.name.isprintable():
        return f"unprintable characters in the file's name: {path.name!a}"
    if (size := len(path.name.encode())) > LONGEST_NAME:
        return f"the file's name has {size} bytes, more than {LONGEST_NAME}; shorten it"
    return ""


def places_of_types(sentences: Iterable[Sentence], scheme: str) -> Iterator[tuple[str, str]]:
    """The type and the place of each mention; in the scheme TAGS, of each word."""
    for sentence in sentences:
        if scheme == "TAGS":
            yield from zip(sentence.tags, map(sentence.place_of, range(len(sentence.words))), strict=True)
        else:
            spans = spans_from_tags(sentence.tags)
            yield from ((span.type, sentence.place_of(span.start)) for span in spans)


def duplicate(path: Path, drops: Path) -> str:
    begin = f"{digest(path)}-"
    alike = [p for p in finished_files(drops) if p.name.startswith(begin)]
    same = [p for p in alike if p.name == begin + path.name or filecmp.cmp(p, path, shallow=False)]
    return f"a duplicate: the same content is in the training set as {same[0]}" if same else ""


def digest(path: Path) -> str:
    """The first hexadecimal digits of the content's SHA-256."""
    return file_sha256(path)[:DIGITS]


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
