"""Converts files between formats as a stream, then reads the result back and compares it record by record.

fpplm_core/data/alignment.py converts between tags and mentions over characters. What the target format cannot hold
(document borders, white space between words, …) is noted and counted. A mention is never lost: unless `Options` says
otherwise, it is written, or the conversion is refused and names its place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from fpplm_core.data.alignment import to_annotated_text, to_sentence
from fpplm_core.data.formats import SUFFIXES, Format, detect, get
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options, Repair, format_names
from fpplm_core.data.records import AnnotatedText, Sentence, check_lengths
from fpplm_core.data.repair import repaired
from fpplm_core.data.text_files import require_source
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.files import making, remove
from fpplm_core.tagging.schemes import SCHEMES, detect_scheme, tag_bigrams, tag_errors
from fpplm_core.tagging.spans import spans_from_tags, tags_from_spans
from fpplm_core.tagging.words import segment

Record = Sentence | AnnotatedText
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what begins a formula: OWASP, CSV injection


def convert(
    source: Path,
    target: Path,
    options: Options,
    source_format: str = "auto",
    target_format: str = "auto",
    scheme: str = "auto",
    repair: Repair = "refuse",
    escape_formulas: bool = False,
) -> int:
    """Writes a new file `target`, named TARGET.partial until it is complete; returns its number of records.

    `options.notes` counts changes and losses. Formats are modules of fpplm_core/data/formats; auto looks at the
    source's content and the target's suffix. Tags keep their scheme (auto) or get another one. `repair` says what to do
    with illegal transitions if tags must be read: refuse, conlleval or discard. `escape_formulas` puts ' before words
    and tags of a CSV file that a spreadsheet would run as a formula; reading the file does not remove it.

    Raises:
        DataError: the source cannot be read, or the target exists or cannot hold a record; then nothing is written.
        ParamsError: unknown format or scheme.
    """
    partial_target = target.parent / f"{target.name}.partial"
    for path in (target, partial_target):
        if os.path.lexists(path):
            raise DataError("already exists", where=str(path), do="remove it, or name another target")
    require_source(source)
    if source_format == "auto":
        source_format, reason = detect(source)
        options.notes.add(f"read as {source_format} ({reason})", str(source))
    known = ["auto", *(name for name in SCHEMES if name != "TAGS")]
    if scheme not in known:
        raise ParamsError("unknown tag scheme", where="--scheme", got=repr(scheme), do=f"use {', '.join(known)}")
    target_format = format_of(target, target_format)
    if escape_formulas and target_format != "csv":
        raise ParamsError("only csv holds formulas", where="--escape-formulas", got=target_format, do="omit it")
    reader, writer = get(source_format), get(target_format)
    change = _change(reader, writer, source, options, scheme, repair)

    def records(options: Options) -> Iterator[Record]:
        number = 0
        for record in reader.read(source, options):
            changed = change(record, options)
            if isinstance(changed, Sentence) and not changed.words:
                options.notes.add("texts without a word are passed over", record.place)
                continue
            check_lengths(changed)
            changed = _escaped(changed, options.notes) if escape_formulas else changed
            _note_losses(changed, writer, options.notes)
            number += 1
            yield changed
        if not number:
            do = "give a file with words"
            raise DataError("no sentence to write, as no text has a word", where=str(source), do=do)

    with making(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            writer.write(records(options), partial_target)
            number = _compare(records(replace(options, notes=Notes())), partial_target, writer)
        except BaseException:
            remove(partial_target)
            raise
        partial_target.rename(target)
    return number


def _escaped(record: Record, notes: Notes) -> Record:
    """The record with ' before each word and tag that begins a formula in a spreadsheet."""
    if not isinstance(record, Sentence):
        return record
    words, tags = (tuple(map(_without_formula, cells)) for cells in (record.words, record.tags))
    number = sum(old != new for old, new in zip((*record.words, *record.tags), (*words, *tags), strict=True))
    notes.add("formulas escaped with '", record.place, number)
    return replace(record, words=words, tags=tags)


def _without_formula(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def format_of(target: Path, name: str) -> str:
    """The format of a file to write, by its name or else by the file's suffix. Raises ParamsError."""
    if name in format_names():
        return name
    if name != "auto":
        raise ParamsError("unknown format", where="--to", got=repr(name), do=f"use one of {', '.join(format_names())}")
    if target.suffix not in SUFFIXES:
        do = f"name the format with --to: {', '.join(format_names())}"
        raise ParamsError("no format has this suffix", where=str(target), got=repr(target.suffix), do=do)
    return SUFFIXES[target.suffix]


def _change(
    reader: Format, writer: Format, source: Path, options: Options, scheme: str, repair: Repair
) -> Callable[[Any, Options], Record]:
    """A function from a record of the source to a record that the target can hold."""
    to_kind = "tags" if "tags" in writer.HOLDS else "mentions"
    if "tags" not in reader.HOLDS:
        if to_kind == "tags":
            return partial(_tagged, scheme=scheme)
        return _of_whole_words if "overlaps" not in writer.HOLDS else _unchanged
    if to_kind == "tags" and scheme == "auto" and repair == "refuse":
        return _unchanged
    quiet = replace(options, notes=Notes())
    try:
        own, evidence = detect_scheme(tag_bigrams(s.tags for s in reader.read(source, quiet) if s.tags))
    except DataError as error:
        raise (error if error.where != "data.scheme" else error.replace(where=str(source), do="")) from None
    options.notes.add(f"tag scheme {own}: {evidence}", str(source))
    if own == "TAGS":
        do = "choose a format that holds tags, and neither a scheme nor a repair"
        raise DataError("tags of single words are not mentions", where=str(source), do=do)
    return partial(_from_tags, to_kind=to_kind, own=own, scheme=own if scheme == "auto" else scheme, repair=repair)


def _unchanged(record: Record, options: Options) -> Record:
    return record


def _of_whole_words(record: AnnotatedText, options: Options) -> Record:
    annotated = to_annotated_text(to_sentence(record, options))
    return replace(record, mentions=annotated.mentions, words=annotated.words)


def _tagged(record: AnnotatedText, options: Options, scheme: str) -> Record:
    sentence = to_sentence(record, options)
    return sentence if scheme in ("auto", "IOB2") else _in_scheme(sentence, scheme)


def _from_tags(sentence: Sentence, options: Options, to_kind: str, own: str, scheme: str, repair: Repair) -> Record:
    sentence = repaired(sentence, own, repair, options.notes)
    for fault in tag_errors(sentence.tags, own):
        do = "correct it, or choose --repair conlleval or discard"
        raise DataError(fault.reason, where=sentence.place_of(fault.word), do=do)
    if to_kind == "mentions":
        annotated = to_annotated_text(sentence)
        words = tuple(dict.fromkeys(annotated.words or ()))
        if words != annotated.words:
            options.notes.add("words of a multiword token become the token", sentence.place)
        return replace(annotated, words=words)
    return sentence if scheme == own else _in_scheme(sentence, scheme)


def _in_scheme(sentence: Sentence, scheme: str) -> Sentence:
    try:
        return replace(
            sentence, tags=tuple(tags_from_spans(spans_from_tags(sentence.tags), len(sentence.tags), scheme))
        )
    except ValueError as error:
        raise DataError(str(error), where=sentence.place, do="choose another scheme") from None


def _note_losses(record: Record, writer: Format, notes: Notes) -> None:
    """Notes what the target cannot hold, apart from mentions and words, which it must hold."""
    if record.document is not None and "documents" not in writer.HOLDS:
        notes.add("document borders are not kept", record.place)
    if isinstance(record, Sentence):
        if record.text is not None and "text" not in writer.HOLDS and record.text != " ".join(record.words):
            notes.add("white space between words is not kept", record.place)
    elif "words" not in writer.HOLDS and record.words not in (None, tuple(segment(record.text))):
        notes.add("word borders are not kept: readers will cut words by their own rule", record.place)


def _compare(wanted: Iterator[Record], written: Path, writer: Format) -> int:
    """The number of records in the written file. Raises DataError if one differs from what was to be written."""
    number = 0
    for record, found in zip_longest(wanted, writer.read(written, Options())):
        number += 1
        if record is None or found is None or _content(record, writer) != _content(found, writer):
            place = record.place if record is not None else str(written)
            raise DataError("reading it back gives something else", where=place, do="choose another format")
    return number


def _content(record: Record, writer: Format) -> tuple[Any, ...]:
    """The parts of a record that the target can hold."""
    document = record.document if "documents" in writer.HOLDS else None
    if isinstance(record, Sentence):
        rest = (record.text, record.offsets) if "text" in writer.HOLDS else ()
        return (record.words, record.tags, document, *rest)
    return (record.text, sorted((m.start, m.end, m.label) for m in record.mentions), document)
