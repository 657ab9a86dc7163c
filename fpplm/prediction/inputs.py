"""Streams texts from files of any kind; one that cannot be tagged is an error in its place."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from fpplm.prediction.formats import Placed, cut, of_sentence, read_format
from fpplm.prediction.lines import STDIN, TEXT_LIMIT, UTF8, count_lines, is_pipe, lines_of
from fpplm_core.data.formats import detect, get, jsonl
from fpplm_core.data.formats._json import BLANK, LARGEST, loads, values_of
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.errors import DataError, FpplmError, ParamsError, shown
from fpplm_core.serving.entities import SegmentedText
from fpplm_core.tagging.words import Range
from fpplm_core.tracking import track

TEXT_SUFFIXES = {"", ".txt", ".md"}  # of files with one text per line
LINE_LIMIT = 16 * TEXT_LIMIT  # characters of a JSON line: escapes, tokens and offsets beside the text
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_CONTROL = re.compile("[\x01-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")  # those that are not white space


def reading_options(segment: Callable[[str], list[Range]], **chosen: Any) -> Options:
    """How files are read to be tagged: annotations are ignored, texts without words are segmented."""
    return Options(segment=segment, overlap="first", words_only=True, **chosen)


def read(name: str, kind: str, options: Options, encoding: str = UTF8) -> Iterator[Placed]:
    """The texts of a file, or of standard input for `-`.

    `kind` is text (one text per line), jsonl (one object per line, with words in `tokens` or a `text`), or a format of
    fpplm_core/data/formats; auto looks at the name, then at the content. A line that is no text is an error in its
    place. Raises DataError if nothing behind an error can be read.
    """
    if kind == "auto":
        kind = _kind_of(name, options.notes)
    if kind == "text":
        found = track(_read_text(name, options, encoding), *_lines_in(name))
    elif kind == "jsonl":
        found = track(_read_json(name, options, encoding), *_lines_in(name))
    else:
        found = read_format(name, kind, options, encoding)
    for place, item in found:
        yield place, item if isinstance(item, DataError) else _checked(item, place, options.notes)


def require_format(kind: str) -> None:
    """Raises ParamsError if there is no such kind of input."""
    if kind not in ("auto", "text", "jsonl"):
        get(kind)


def read_all(names: Iterable[str], kind: str, options: Options, encoding: str = UTF8) -> Iterator[Placed]:
    """The texts of several files; documents of different files are different documents."""
    number, last = 0, None
    for index, name in enumerate(names):
        for place, item in read(name, kind, options, encoding):
            if isinstance(item, SegmentedText) and item.document is not None:
                number, last = number + (last != (index, item.document)), (index, item.document)
                yield place, item._replace(document=number)
            else:
                yield place, item


def accepted(found: Iterable[Placed], skip: bool) -> Iterator[SegmentedText]:
    """The texts alone. With `skip` errors are printed to stderr, and their number; otherwise the first is raised."""
    skipped = 0
    try:
        for _, item in found:
            if isinstance(item, SegmentedText):
                yield item
            elif skip:
                skipped += 1
                print(f"skipped: {item}", file=sys.stderr)
            else:
                raise item
    finally:
        if skipped:
            print(f"{skipped:,} text(s) skipped", file=sys.stderr)


def of_row(row: dict[str, Any], name: str, number: int, options: Options) -> SegmentedText | DataError:
    """The text of an object with `text` or `tokens`, or why it is none."""
    try:
        return _checked(_of_json(row, name, number, options), f"{name}:{number}", options.notes)
    except DataError as error:
        return error


def until_error(texts: Iterable[SegmentedText], errors: list[FpplmError]) -> Iterator[SegmentedText]:
    """The texts before the first error, which is appended to `errors`, so that they are tagged before it is raised."""
    try:
        yield from texts
    except FpplmError as error:
        errors.append(error)


def _lines_in(name: str) -> tuple[str, int | None, Callable[[Placed], int], Callable[[Placed], int]]:
    """What the loop over a file's texts goes through, for `track`: one line each, of how many in a regular file."""
    total = None if name == STDIN or not Path(name).is_file() else count_lines(Path(name))
    return f"lines of {Path(name).name}", total, lambda _: 1, _words_of


def _words_of(found: Placed) -> int:
    return len(found[1].words) if isinstance(found[1], SegmentedText) else 0


def _kind_of(name: str, notes: Notes) -> str:
    suffix = Path(name).suffix.lower()
    if name == STDIN or (suffix in TEXT_SUFFIXES and not Path(name).is_dir()):
        return "text"
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    if is_pipe(name):
        raise ParamsError("the format of a pipe cannot be detected", where=name, do="name it with --format")
    try:
        kind, reason = detect(Path(name))
    except DataError as error:
        is_unknown = error.what == "unknown format"  # then `text`, which is no annotated format, may be the one
        raise (error.replace(do=f"{error.do}, or text (one text per line)") if is_unknown else error) from None
    notes.add(f"read as {kind} ({reason})", name)
    return kind


def _checked(text: SegmentedText, place: str, notes: Notes) -> SegmentedText | DataError:
    if len(text.text) > TEXT_LIMIT:
        got, do = f"{len(text.text):,} characters", f"split it: at most {TEXT_LIMIT:,} are tagged together"
        return DataError("the text is too long", where=place, got=got, do=do)
    if match := _NO_TEXT.search(text.text):
        what = "a zero byte (NUL)" if match[0] == "\0" else "half of a surrogate pair"
        return DataError(f"{what}, which is not text", where=place, do="correct it")
    for number, (word, _, _) in enumerate(text.words, start=1):
        if not word.strip():  # in files of words only
            got = f"{shown(word)} as word {number}"
            return DataError("a word without a visible character", where=place, got=got, do="leave it out")
    if match := _CONTROL.search(text.text):
        notes.add("texts with control characters, which are tagged as words", f"{place}: {match[0]!r}")
    return text


def _read_text(name: str, options: Options, encoding: str) -> Iterator[Placed]:
    for number, line in lines_of(name, encoding, TEXT_LIMIT):
        yield f"{name}:{number}", line if isinstance(line, DataError) else cut(line, options)


def _read_json(name: str, options: Options, encoding: str) -> Iterator[Placed]:
    lines = lines_of(name, encoding, LINE_LIMIT)
    first = True
    for number, line in lines:
        place = f"{name}:{number}"
        if isinstance(line, str) and not line.strip(BLANK):
            continue
        if first and isinstance(line, str) and line.lstrip(BLANK).startswith("["):
            yield from _read_list(name, number, line, lines, options)
            return
        first = False
        try:
            yield place, line if isinstance(line, DataError) else _of_json(loads(line, place), name, number, options)
        except DataError as error:
            yield place, error


def _read_list(
    name: str, number: int, line: str, lines: Iterator[tuple[int, str | DataError]], options: Options
) -> Iterator[Placed]:
    """The items of a file that is one JSON list. Raises DataError where the list itself is broken."""

    def readable() -> Iterator[tuple[int, str]]:
        yield number, line
        for place, following in lines:
            if isinstance(following, DataError):
                raise following
            yield place, following

    for place, row in values_of(readable(), name):
        try:
            yield f"{name}:{place}", _of_json(row, name, place, options)
        except DataError as error:
            yield f"{name}:{place}", error


def _of_json(row: Any, name: str, number: int, options: Options) -> SegmentedText:
    where = f"{name}:{number}"
    if isinstance(row, dict) and (sentence := jsonl.words_of(row, options, name, number)) is not None:
        return of_sentence(sentence)
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        do = "give an object with `text`, or with `tokens`, a list of words"
        raise DataError("neither text nor words in the JSON line", where=where, got=shown(row), do=do)
    if "tokens" in row:
        options.notes.add("tokens that are not words are not read: texts are segmented", where)
    document = row.get("document")
    known = type(document) is int and 0 <= document <= LARGEST
    return cut(row["text"], options)._replace(document=document if known else None)
