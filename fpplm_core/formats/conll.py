"""CoNLL-style columns: one word a line, columns parted by tabs or blanks, an empty line after each sentence.

A `-DOCSTART-` line begins a document. A line that begins with `#` and has another number of columns than the
file is a comment. Line ends (LF or CRLF), a byte order mark, trailing blanks and a missing last newline do not
matter. Where a file's first line holds a tab, tabs alone part its columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TextIO

from fpplm_core.errors import DataError
from fpplm_core.formats import Options
from fpplm_core.text import Sentence, read_lines

DOCUMENT = "-DOCSTART-"


def read(path: Path, columns: Options) -> Iterator[Sentence]:
    lines = (line.rstrip(" \t\r") for line in read_lines(path))
    head = list(_until_word(lines))  # a line of it that begins with # may be a word: the first sure word's line tells
    tabs, width = _layout(path, head, wanted=1 if columns.word_column == columns.tag_column else 2)
    word, tag = (_column(path, index, width) for index in (columns.word_column, columns.tag_column))
    document: int | None = None
    words: list[str] = []
    tags: list[str] = []
    numbers: list[int] = []

    for number, line in enumerate(chain(head, lines, [""]), start=1):
        starts_document = line.startswith(DOCUMENT) and _cells(line, tabs=False)[0] == DOCUMENT  # by tabs or blanks
        if line and not starts_document:
            cells = _cells(line, tabs)
            if len(cells) == width:
                words.append(cells[word])
                tags.append(cells[tag])
                numbers.append(number)
            elif not line.startswith("#"):
                raise DataError(
                    "wrong number of columns",
                    where=f"{path}:{number}",
                    got=f"{len(cells)} in {line[:60]!r}, where the file's first line has {width}",
                    do="mend the line (columns are parted by " + ("tabs)" if tabs else "blanks or tabs)"),
                )
            continue
        if words:
            yield Sentence(tuple(words), tuple(tags), str(path), tuple(numbers), document)
            words, tags, numbers = [], [], []
        if starts_document:
            document = 0 if document is None else document + 1


def _cells(line: str, tabs: bool) -> list[str]:
    # Not str.split(): that would also cut at no-break spaces and other marks that may stand inside a word.
    return line.split("\t") if tabs else re.split("[ \t]+", line)


def _until_word(lines: Iterator[str]) -> Iterator[str]:
    """The lines up to the first that surely holds a word, which is the last."""
    for line in lines:
        yield line
        if _is_word(line):
            return


def _is_word(line: str) -> bool:
    return bool(line) and not line.startswith(("#", DOCUMENT))


def _layout(path: Path, head: list[str], wanted: int) -> tuple[bool, int]:
    """Whether tabs alone part the columns, and how many there are, from the last line of `head`."""
    line = head[-1] if head else ""
    if not _is_word(line):
        raise DataError("no sentence in the file", where=str(path), do="give one word and its tag a line")
    tabs = "\t" in line
    width = len(_cells(line, tabs))
    if width < wanted:
        raise DataError(
            "a line needs a word and a tag",
            where=f"{path}:{len(head)}",
            got=repr(line[:60]),
            do="give columns parted by a tab or blanks",
        )
    return tabs, width


def _column(path: Path, index: int, width: int) -> int:
    if not -width <= index < width:
        raise DataError(
            "no such column",
            where=str(path),
            got=f"column {index} of {width}",
            do="set data.word_column and data.tag_column in params.yaml",
        )
    return index


def write(sentences: Iterable[Sentence], stream: TextIO) -> None:
    document: int | None = None
    for sentence in sentences:
        if sentence.document != document:
            stream.write(f"{DOCUMENT}\tO\n\n")
            document = sentence.document
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            stream.write(f"{word}\t{tag}\n")
        stream.write("\n")
