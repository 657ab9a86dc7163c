"""Reads the annotations that a bundle is scored on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fpplm.prediction.lines import TEXT_LIMIT
from fpplm.prediction.records import tags_words
from fpplm_core.data.formats import detect, get, read_sentences
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError, ParamsError, shown
from fpplm_core.tagging.schemes import SCHEMES, detect_scheme, split_tag, tag_bigrams, tag_errors, type_fault
from fpplm_core.tagging.spans import Span, repair_tags, spans_from_tags

SHOWN = 3  # tags that an error shows
Gold = tuple[list[Sentence], list[list[Span]]]


def read_gold(file: Path, kind: str, options: Options, labels: Sequence[str], scheme: str, repair: str) -> Gold:
    """The sentences of an annotated file and the spans that their tags hold.

    `labels` are those of the bundle; `scheme` is auto or a key of SCHEMES; `repair` says how illegal transitions are
    read: refuse, conlleval or discard. The scheme, illegal transitions and types that the bundle lacks are noted.

    Raises DataError if the file cannot be read, or has tags that are not of the scheme or of the bundle's task.
    """
    if kind == "auto":
        kind, reason = detect(file)
        options.notes.add(f"read as {kind} ({reason})", str(file))
    of_words, holds_tags = tags_words(labels), "tags" in get(kind).HOLDS
    sentences = list(read_sentences(file, kind, options))
    if not sentences:
        raise DataError("no sentence in the file", where=str(file))
    for sentence in sentences:
        if sum(map(len, sentence.words)) > TEXT_LIMIT:
            do = f"split it: at most {TEXT_LIMIT:,} characters are tagged together"
            raise DataError("the sentence is too long", where=sentence.place, do=do)
    if holds_tags and not of_words:
        own = _scheme_of(sentences, file, scheme, options.notes)
        _note_illegal(sentences, own, repair, options.notes, also_iob2=scheme == "auto")
        if repair == "discard":
            sentences = [replace(s, tags=tuple(repair_tags(s.tags, own, repair))) for s in sentences]
    elif of_words and (not holds_tags or scheme not in ("auto", "TAGS")):
        do = "give a file with the tag of each word"
        raise DataError("mentions, but this bundle tags every word", where=str(file), do=do)
    spans = [_words_as_spans(s.tags) if of_words else spans_from_tags(s.tags) for s in sentences]
    _compare_types(sentences, spans, labels, options.notes, file)
    return sentences, spans


def _words_as_spans(tags: Sequence[str]) -> list[Span]:
    return [Span(word, word + 1, tag) for word, tag in enumerate(tags)]


def _scheme_of(sentences: Sequence[Sentence], file: Path, scheme: str, notes: Notes) -> str:
    """The scheme that is given, or for auto the one that `fpplm check` detects."""
    tags = Counter(tag for sentence in sentences for tag in sentence.tags)
    shown = ", ".join(repr(tag[:20]) for tag, _ in tags.most_common(SHOWN))
    if scheme not in ("auto", *SCHEMES):
        do = f"use auto, {', '.join(SCHEMES)}"
        raise ParamsError("unknown tag scheme", where="--scheme", got=repr(scheme), do=do)
    do = "name the column of the tags (data.tag_column) or their scheme (data.scheme), or correct them"
    evidence = "as given"
    if scheme == "auto":
        try:
            scheme, evidence = detect_scheme(tag_bigrams(sentence.tags for sentence in sentences))
        except DataError as error:
            raise error.replace(where=str(file), do=do) from None
    if scheme == "TAGS":
        what = "the tags follow no known scheme of entities (O or PREFIX-TYPE), which this bundle finds"
        raise DataError(what, where=str(file), got=shown, do=do)
    notes.add(f"tag scheme {scheme}: {evidence}", str(file))
    return scheme


def _note_illegal(sentences: Sequence[Sentence], scheme: str, repair: str, notes: Notes, also_iob2: bool) -> None:
    """Notes illegal transitions. Raises DataError for tags that are not of the scheme.

    IOB1 and IO allow nearly everything: with `also_iob2`, where even these are violated, IOB2 is as likely meant.
    """
    bad = [(sentence, fault) for sentence in sentences for fault in tag_errors(sentence.tags, scheme)]
    refused = [row for row in bad if repair == "refuse" or not row[1].transition]
    if refused:
        sentence, fault = refused[0]
        do = "correct it, or name the scheme (data.scheme)"
        do += " or the reading of illegal transitions (data.repair)" if fault.transition else ""
        got = f"{len(refused)} such tag(s) in the file"
        raise DataError(fault.reason, where=sentence.place_of(fault.word), got=got, do=do)
    how = "read as conlleval does" if repair == "conlleval" else "entities with one are left out"
    nearest = ["IOB2"] if also_iob2 and bad and scheme in ("IOB1", "IO") else []
    for name in (scheme, *nearest):
        for sentence in sentences:
            for fault in tag_errors(sentence.tags, name):
                note = f"illegal transitions in {name}, {how}"
                notes.add(note, f"{sentence.place_of(fault.word)}: {fault.reason.removesuffix(f' in {name}')}")


def _compare_types(
    sentences: Sequence[Sentence], spans: Sequence[Sequence[Span]], labels: Sequence[str], notes: Notes, file: Path
) -> None:
    """Notes the types that the bundle lacks.

    Raises DataError for what cannot be a type, and if a bundle that tags every word has none of the tags.
    """
    known = {split_tag(label)[1] for label in labels} - {""}
    found = {span.type for row in spans for span in row}
    of_words = tags_words(labels)
    if of_words and not found & known:
        got = f"{', '.join(map(repr, sorted(found)[:SHOWN]))}, but the bundle has {', '.join(sorted(known))[:100]}"
        do = "name the column of the tags (data.tag_column)"
        raise DataError("the bundle has none of these tags", where=str(file), got=got, do=do)
    for sentence, row in zip(sentences, spans, strict=True):
        for span in row:
            if span.type not in known:
                place = sentence.place_of(span.start)
                if reason := type_fault(span.type, "TAGS" if of_words else "IOB2"):
                    raise DataError(reason, where=place, got=shown(span.type), do="correct it")
                notes.add(f"the bundle has no type {span.type!r}: its mentions count as missed", place)
