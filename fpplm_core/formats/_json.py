"""JSON values from a file one after another, be they lines or the items of one list; and their parts, checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from fpplm_core.errors import DataError
from fpplm_core.text import read_lines

BLANK = " \t\r\n"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_GAP = re.compile(f"[{BLANK}]*")


def read_values(path: Path) -> Iterator[tuple[int, Any]]:
    """(1-based line on which it begins, value): of each line, or of each item where the file is one list.

    A line is held at a time, or what belongs to an item where it has several. Raises DataError for what is not JSON,
    naming the line.
    """
    lines = enumerate(read_lines(path), start=1)
    first = True
    for number, line in lines:
        bare = line.strip(BLANK)
        if first and bare.startswith("["):
            yield from _Items(path, number, line, lines)
            return
        if bare:
            first = False
            yield number, loads(line, f"{path}:{number}")


class _Items:
    """The items of a list that begins in `held`, each with its line; `more` takes a further line of the file."""

    def __init__(self, path: Path, line: int, held: str, lines: Iterator[tuple[int, str]]) -> None:
        self.path, self.line, self.held, self.lines = path, line, held, lines
        self.place = held.index("[") + 1  # in `held`; `line` is its line in the file
        self.decoder = json.JSONDecoder(parse_constant=_constant)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        if self.next_mark() != "]":
            while True:
                if self.next_mark() == "":
                    raise self.broken("the list is not closed")
                line = self.line
                yield line, self.item()
                mark = self.next_mark()
                if mark not in (",", "]"):
                    raise self.broken("a comma is missing between items" if mark else "the list is not closed")
                if mark == "]":
                    break
                self.place += 1
        self.place += 1
        if self.next_mark():
            raise self.broken("text behind the list")

    def item(self) -> Any:
        tried = 0
        while True:
            if len(self.held) - self.place >= 2 * tried or not self.more():  # anew at twice the length: linear in all
                try:
                    value, end = self.decoder.raw_decode(self.held, self.place)
                    break
                except RecursionError:
                    raise self.broken("nested too deeply") from None
                except ValueError as error:
                    tried = max(1, len(self.held) - self.place)
                    if not self.more():
                        self.line += self.held.count("\n", self.place, getattr(error, "pos", 0))
                        raise self.broken(f"not valid JSON ({error})") from None
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
            if not self.more():
                return ""

    def move(self, place: int) -> None:
        self.line += self.held.count("\n", self.place, place)
        self.place = place

    def more(self) -> bool:
        for _, text in self.lines:
            self.held = f"{self.held[self.place :]}\n{text}"
            self.place = 0
            return True
        return False

    def broken(self, what: str) -> DataError:
        got = repr(self.held[self.place : self.place + 60])
        return DataError(what, where=f"{self.path}:{self.line}", got=got, do="mend the file: a list of items in [ ]")


def loads(text: str, where: str) -> Any:
    """The value of a JSON text. Raises DataError, also for NaN and for half a surrogate pair, which is no character."""
    try:
        value = json.loads(text, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not valid JSON ({error})", where=where, got=repr(text[:60]), do="mend the line") from None
    _check(value, text, where)
    return value


def _check(value: Any, text: str, where: str) -> None:
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            do = "mend the line"
            raise DataError("half of a surrogate pair, which is no character", where=where, do=do) from None


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def first_value(head: str) -> Any:
    """The first line, or the first item of a list, of a file that begins so; None where there is none whole."""
    bare = head.lstrip(BLANK)
    try:
        return json.JSONDecoder().raw_decode(bare[1:].lstrip(BLANK) if bare.startswith("[") else bare)[0]
    except (ValueError, RecursionError):
        return None


def member(row: Any, key: str, kind: type, where: str) -> Any:
    """row[key] where it is of this kind. Raises DataError where it is not, or row is no object."""
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        names = {str: "text", int: "whole number", list: "list", dict: "object"}
        got = repr(value)[:60] if isinstance(row, dict) else repr(row)[:60]
        do = f"give an object with {key!r}"
        raise DataError(f"{key!r} must be a {names[kind]}", where=where, got=got, do=do)
    return value


def write_lines(rows: Iterable[Any], path: Path) -> None:
    """A JSON value a line."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_list(rows: Iterable[Any], path: Path) -> None:
    """One list, an item a line."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        between = "[\n"
        for row in rows:
            stream.write(between + json.dumps(row, ensure_ascii=False))
            between = ",\n"
        stream.write("[]\n" if between == "[\n" else "\n]\n")
