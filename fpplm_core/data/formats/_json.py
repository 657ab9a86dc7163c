"""Streams JSON values from a file of lines or of one list, and validates their parts."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from fpplm_core.data.notes import Notes
from fpplm_core.data.records import Mention
from fpplm_core.data.text_files import CONVERT, read_lines
from fpplm_core.errors import DataError, shown

JsonObject = dict[str, Any]  # from a foreign file: its keys are checked as they are read
BLANK = " \t\r\n"
LARGEST = 2**31 - 1  # largest document number that the corpus can store
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TUPLE = re.compile(rf'\[[{BLANK}]*"(?:[^"\\]|\\.)*"[{BLANK}]*,[{BLANK}]*\{{')  # a text and an object, in a list
_GAP = re.compile(f"[{BLANK}]*")


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):  # one of two values would be lost
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {shown(next(key for key in keys if keys.count(key) > 1))} occurs twice")
    return found


_decoder = json.JSONDecoder(parse_constant=_constant, object_pairs_hook=_object)


def read_values(path: Path) -> Iterator[tuple[int, Any]]:
    """(1-based line on which it begins, value) for each line, or for each item if the file is one list.

    Lines with a list of a text and an object each, as spaCy's tuples, are values, although they begin as one list.
    Items that share a line are counted on from it, so the numbers tell all values apart.

    Holds one line in memory at a time, or about twice an item that spans several. Raises DataError for invalid JSON,
    naming the line.
    """
    yield from values_of(enumerate(read_lines(path), start=1), path)


def values_of(lines: Iterator[tuple[int, str]], path: Path | str) -> Iterator[tuple[int, Any]]:
    """The values of numbered lines, as `read_values` gives those of a file; errors name `path`."""
    first = True
    for number, line in lines:
        bare = line.strip(BLANK)
        if first and bare.startswith("[") and not _TUPLE.match(bare):
            yield from _Items(path, number, line, lines)
            return
        if bare:
            first = False
            yield number, loads(line, f"{path}:{number}")


class _Items:
    """The items of a list that begins in `held`, each with its line; `more` reads further lines of the file."""

    def __init__(self, path: Path | str, line: int, held: str, lines: Iterator[tuple[int, str]]) -> None:
        self.path, self.line, self.held, self.lines = path, line, held, lines
        self.place = held.index("[") + 1  # in `held`; `line` is its line in the file

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        place = 0
        if self.next_mark() != "]":
            while True:
                if self.next_mark() == "":
                    raise self.broken("the list is not closed")
                place = max(self.line, place + 1)
                yield place, self.item()
                mark = self.next_mark()
                if mark not in (",", "]"):
                    raise self.broken("a comma is missing between items" if mark else "the list is not closed")
                if mark == "]":
                    break
                self.place += 1
        self.place += 1
        if self.next_mark():
            raise self.broken("text after the list")

    def item(self) -> Any:
        while True:
            try:
                value, end = _decoder.raw_decode(self.held, self.place)
                break
            except json.JSONDecodeError as error:
                # The held part of an incomplete item doubles with each attempt, so all attempts together are linear.
                cut = not self.held[error.pos :].strip(BLANK)
                if not (cut and self.more(len(self.held) - self.place)):
                    self.line += self.held.count("\n", self.place, error.pos)
                    raise self.broken(f"not valid JSON ({error.msg})") from None
            except (ValueError, RecursionError) as error:
                raise self.broken(f"not valid JSON ({_reason(error)})") from None
        _check(value, self.held[self.place : end], f"{self.path}:{self.line}")
        self.move(end)
        return value

    def next_mark(self) -> str:
        """The next character that is not blank, "" at the end of the file."""
        while True:
            match = _GAP.match(self.held, self.place)
            self.move(match.end() if match else self.place)
            if self.place < len(self.held):
                return self.held[self.place]
            if not self.more(1):
                return ""

    def move(self, place: int) -> None:
        self.line += self.held.count("\n", self.place, place)
        self.place = place

    def more(self, least: int) -> bool:
        """Reads lines of at least `least` characters in all, or the rest of the file; False if nothing is left."""
        taken, length = [self.held[self.place :]], 0
        for _, text in self.lines:
            taken.append(text)
            length += len(text) + 1
            if length >= least:
                break
        self.held, self.place = "\n".join(taken), 0
        return length > 0

    def broken(self, what: str) -> DataError:
        got = repr(self.held[self.place : self.place + 60])
        return DataError(what, where=f"{self.path}:{self.line}", got=got, do="correct the file: a list of items in [ ]")


def loads(text: str, where: str) -> Any:
    """The value of a JSON text.

    Raises DataError, also for NaN, a duplicate key, and half a surrogate pair, which is not a character.
    """
    try:
        value = _decoder.decode(text)
    except (ValueError, RecursionError) as error:
        got, do = repr(text[:60]), CONVERT if "\r" in text.strip(BLANK) else "correct the line"
        if text.strip(BLANK) == "{":
            do = "put an object over several lines in [ ], or on one line"
        raise DataError(f"not valid JSON ({_reason(error)})", where=where, got=got, do=do) from None
    _check(value, text, where)
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).partition("; use")[0]


def _check(value: Any, text: str, where: str) -> None:
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except (UnicodeEncodeError, RecursionError):
            do = "correct the line"
            raise DataError("half of a surrogate pair, which is not a character", where=where, do=do) from None


def first_value(head: str, path: Path) -> Any:
    """The first line, or the first item of a list, of a file that begins with `head`; None if it is not JSON.

    If `head` does not hold all of it, it is read from the file.
    """
    bare = head.lstrip(BLANK)
    if bare[:1] not in ("{", "["):
        return None
    is_list = bare[0] == "[" and not _TUPLE.match(bare)
    try:
        return json.JSONDecoder().raw_decode(bare[1:].lstrip(BLANK) if is_list else bare)[0]
    except (ValueError, RecursionError):
        pass
    try:
        return next(read_values(path))[1]
    except (DataError, StopIteration):
        return None


def member(row: Any, key: str, kind: type, where: str) -> Any:
    """row[key]. Raises DataError if it is not of this type, or if row is not an object."""
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        names = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}
        got = shown(value if isinstance(row, dict) and key in row else row)
        do = f"give an object with {key!r}"
        raise DataError(f"{key!r} must be {names[kind]}", where=where, got=got, do=do)
    return value


def document_of(row: JsonObject, where: str) -> int | None:
    """row["document"], None if it is missing or null. Raises DataError if it is not a valid document number."""
    document = row.get("document")
    if document is not None and (type(document) is not int or not 0 <= document <= LARGEST):  # true is an int
        do = f"give a whole number from 0 to {LARGEST}, or omit it"
        raise DataError("not a valid document number", where=where, got=shown(document), do=do)
    return document


def piece(text: str, start: int, end: int, where: str) -> str:
    """text[start:end]. Raises DataError if the range is empty or not in the text."""
    if not 0 <= start < end <= len(text):
        got = f"{shown(start)} to {shown(end)}"
        raise DataError(
            f"not a range in a text of {len(text)} characters", where=where, got=got, do="correct the offsets"
        )
    return text[start:end]


def is_mention(item: Any) -> bool:
    """Whether the item is a list [start, end, label]."""
    return isinstance(item, list) and [type(part) for part in item] == [int, int, str]


def mention_of(item: Any, what: str, where: str) -> Mention:
    """The mention [start, end, label]. Raises DataError, which calls the item `what`, if it is anything else."""
    if not is_mention(item):
        raise DataError(f"{what} must be [start, end, label]", where=where, got=shown(item), do="correct it")
    return Mention(*item)


def note_keys(row: JsonObject, known: Collection[str], notes: Notes, where: str) -> None:
    """Notes the unknown keys of an object, which are skipped."""
    for key in row:
        if key not in known:
            notes.add(f"key {shown(key)} is not read", where)


def write_lines(rows: Iterable[Any], path: Path) -> None:
    """Writes one JSON value per line."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_list(rows: Iterable[Any], path: Path) -> None:
    """Writes one list, with one item per line."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        between = "[\n"
        for row in rows:
            stream.write(between + json.dumps(row, ensure_ascii=False))
            between = ",\n"
        stream.write("[]\n" if between == "[\n" else "\n]\n")
