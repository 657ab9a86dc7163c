"""Reads files of annotated formats for their words or texts; a sentence of columns that cannot be read is an error."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from fpplm.prediction.lines import TEXT_LIMIT, UTF8, lines_of, local_file
from fpplm_core.data.alignment import text_of
from fpplm_core.data.formats import get
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Sentence
from fpplm_core.errors import DataError
from fpplm_core.serving.entities import SegmentedText

BY_SENTENCE = {"conll", "conll2012", "conllu", "iob2"}  # formats with an empty line between sentences

Placed = tuple[str, SegmentedText | DataError]  # file:line, and the text there, or why there is none


def read_format(name: str, kind: str, options: Options, encoding: str) -> Iterator[Placed]:
    """The texts of a file, or of standard input for `-`, in a format of fpplm_core/data/formats.

    Raises DataError, naming the file that was given, if nothing behind an error can be read.
    """
    with local_file(name, encoding) as path, tempfile.TemporaryDirectory() as folder:
        yield from _read(name, path, Path(folder) / "copy", kind, options)


def _read(name: str, path: Path, copy: Path, kind: str, options: Options) -> Iterator[Placed]:
    """As `read_format`; with a bad sentence it reads anew, from a copy of the file in which that sentence is empty.

    A reader looks ahead, so an error comes before sentences that stand above its line; here it comes in its place.
    """
    bad: dict[int, DataError] = {}  # by line, those that have not been passed on
    emptied: set[int] = set()
    done = 0
    while True:
        notes = Notes()
        try:
            for record in islice(get(kind).read(path, replace(options, notes=notes)), done, None):
                for line in sorted(line for line in bad if line < record.lines[0]):
                    yield f"{name}:{line}", bad.pop(line)
                done += 1
                yield record.place.replace(str(path), name), _of_record(record, options)
            last = None
            break
        except DataError as error:
            found = re.fullmatch(rf"{re.escape(str(path))}:([0-9]+).*", error.where)
            line, last = int(found[1]) if found else 0, _named(error, str(path), name)
        is_of_file = (
            kind not in BY_SENTENCE or "data." in last.do
        )  # which a parameter mends, and no correction of a line
        if not is_of_file and path != copy:
            bad, path = _copy_readable(path, copy, name), copy
            if bad:
                continue
        if is_of_file or not line or line in emptied:
            break
        bad[line] = last
        emptied.add(line)
        _empty_sentence(copy, line)
    _add_notes(options.notes, notes, str(path), name)
    for line in sorted(bad):
        yield f"{name}:{line}", bad[line]
    if last is not None:
        raise last


def _copy_readable(path: Path, copy: Path, name: str) -> dict[int, DataError]:
    """Copies a file with empty lines in place of sentences that have a line that is no text; these errors by line."""
    bad: dict[int, DataError] = {}
    held: list[str] = []
    with copy.open("w", encoding="utf-8", newline="\n") as out:
        is_bad = False
        for number, line in chain(lines_of(str(path), UTF8, TEXT_LIMIT), [(0, "")]):
            if isinstance(line, str) and not line.strip():
                out.writelines("\n" if is_bad else f"{text}\n" for text in [*held, ""])
                held, is_bad = [], False
                continue
            held.append(line if isinstance(line, str) else "")
            if isinstance(line, DataError) and not is_bad:
                bad[number], is_bad = _named(line, str(path), name), True
    return bad


def _empty_sentence(path: Path, line: int) -> None:
    """Empties the lines around a line up to the nearest empty ones."""
    lines = path.read_bytes().split(b"\n")
    start = end = line - 1
    while start > 0 and lines[start - 1].strip():
        start -= 1
    while end < len(lines) and lines[end].strip():
        end += 1
    lines[start:end] = [b""] * (end - start)
    path.write_bytes(b"\n".join(lines))


def _named(error: DataError, path: str, name: str) -> DataError:
    return error.replace(**{key: part.replace(path, name) for key, part in error.parts.items()})


def _add_notes(notes: Notes, found: Notes, path: str, name: str) -> None:
    notes.counts.update(found.counts)
    for kind, places in found.places.items():
        notes.places[kind] += [place.replace(path, name) for place in places]


def _of_record(record: Sentence | AnnotatedText, options: Options) -> SegmentedText:
    if isinstance(record, Sentence):
        return of_sentence(record)
    if record.words is not None:
        words = [(record.text[start:end], start, end) for start, end in record.words]
        return SegmentedText(record.text, words, record.document)
    return cut(record.text, options)._replace(document=record.document)


def cut(text: str, options: Options) -> SegmentedText:
    """A text with its words, as `options` segments it."""
    return SegmentedText(text, [(text[start:end], start, end) for start, end in options.segment(text)])


def of_sentence(sentence: Sentence) -> SegmentedText:
    """A sentence's text, or else its words joined by blanks."""
    text, places = text_of(sentence)
    words = [(word, *place) for word, place in zip(sentence.words, places, strict=True)]
    return SegmentedText(text, words, sentence.document)
