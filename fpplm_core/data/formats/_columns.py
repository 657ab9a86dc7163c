"""Shared by the formats with one word per line: columns by number, cells that can be written, marks of documents."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError

FURTHEST = 1000  # most marks in a row for documents without a sentence
TAG = re.compile(r"O|[A-Z]-\S.*")  # a tag that reveals a column of tags
_BINARY = re.compile("[\0-\x08\x0e-\x1f\ufffd]")  # control characters, and bytes that are no UTF-8
STRAY = 0.1  # share of these that a text may have: its reader says where they stand
UNWRITABLE = re.compile("[\0\ud800-\udfff]")  # a zero makes a file binary; half of a surrogate pair is not a character


def head_lines(head: str) -> list[str]:
    """The complete lines at a file's beginning, without line ends; the last is omitted, as it may be cut off."""
    lines = [line.removesuffix("\r") for line in head.split("\n")]
    return lines[:-1] or lines


def is_binary(head: str) -> bool:
    return "\0" in head or len(_BINARY.findall(head)) > STRAY * len(head)


def split_line(line: str, separator: str) -> list[str]:
    """The cells of a line, separated by tabs or else by blanks and tabs."""
    # Not str.split(): that would also cut at no-break spaces and other marks that may stand inside a word.
    return line.split("\t") if separator == "\t" else re.split("[ \t]+", line.lstrip(" \t"))


def check_width(first: str, others: Iterable[str], separator: str, where: str) -> None:
    """Raises DataError if most lines have another number of columns than the first, such as a comment without #."""
    width = len(split_line(first, separator))
    widths = Counter(len(split_line(line, separator)) for line in others)
    usual, number = max(widths.items(), key=lambda item: item[1], default=(width, 0))
    if number > widths[width] + 1:
        got, do = f"{width} in {first[:60]!r}, but most have {usual}", "correct or remove such lines; # begins comments"
        raise DataError("wrong number of columns", where=where, got=got, do=do)


def number_of(column: int | str | None, default: int, path: Path) -> int:
    """The number of a column; `default` for None. Raises DataError for a name, as columns have none in these files."""
    if isinstance(column, str):
        do = "give its number (data.word_column, data.tag_column: 0-based, negative from the right)"
        raise DataError("columns have no names in this format", where=str(path), got=repr(column), do=do)
    return default if column is None else column


def within(column: int, width: int, where: str) -> int:
    """The column itself. Raises DataError if the line has fewer columns."""
    if not -width <= column < width:
        do = "set data.word_column and data.tag_column in params.yaml"
        raise DataError("no such column", where=where, got=f"column {column} of {width}", do=do)
    return column


def with_words(sentences: Iterable[Sentence], path: Path) -> Iterator[Sentence]:
    """Passes the sentences on. Raises DataError for a sentence without words, or if there are no sentences."""
    empty = True
    for sentence in sentences:
        if not sentence.words:
            raise DataError("a sentence without words", where=sentence.place, do="choose another format")
        empty = False
        yield sentence
    if empty:
        raise DataError("no sentence to write", where=str(path), do="give at least one sentence")


def check(text: str, forbidden: str, what: str, where: str) -> str:
    """The text itself. Raises DataError if it is empty or contains a character that its format cannot hold."""
    match = UNWRITABLE.search(text)
    found = match[0] if match else next((char for char in text if char in forbidden), "")
    if found or not text:
        why = f"has {found!r}, which this format cannot hold" if found else "is empty"
        raise DataError(f"{what} {why}", where=where, got=repr(text[:60]), do="correct it, or choose another format")
    return text


def checked(sentence: Sentence, not_in_words: str, not_in_tags: str) -> list[tuple[str, str, str]]:
    """Each word with its tag and its place. Raises DataError if `check` refuses one."""
    rows = []
    for number, (word, tag) in enumerate(zip(sentence.words, sentence.tags, strict=True)):
        where = sentence.place_of(number)
        rows.append((check(word, not_in_words, "a word", where), check(tag, not_in_tags, "a tag", where), where))
    return rows


def marks(sentence: Sentence, before: int | None) -> int:
    """How many documents begin between a sentence of document `before` and this sentence.

    Raises DataError if marks cannot express the number: they only count up, and cannot mark a missing document.
    """
    document = sentence.document
    if document == before:
        return 0
    number = 0 if document is None else document - (-1 if before is None else before)
    if not 0 < number <= FURTHEST:
        got = f"{document} after {before}"
        do = "number documents from 0, in order"
        raise DataError("a document number that this format cannot express", where=sentence.place, got=got, do=do)
    return number
