"""What the formats of one word a line share: columns by number, cells that can be written, marks between documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError

FURTHEST = 1000  # documents without a sentence that are marked one after another
TAG = re.compile(r"O|[A-Z]-\S.*")  # a tag by which a column of tags is told
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")  # a zero makes a file binary; half of a surrogate pair is no character


def head_lines(head: str) -> list[str]:
    """The whole lines at a file's beginning, without line ends; the last is left out, as it may be cut."""
    lines = [line.removesuffix("\r") for line in head.split("\n")]
    return lines[:-1] or lines


def number_of(column: int | str | None, default: int, path: Path) -> int:
    """The number of a column; `default` for None. Raises DataError for a name, which nothing in the file could have."""
    if isinstance(column, str):
        do = "give its number (data.word_column, data.tag_column: 0-based, negative from the right)"
        raise DataError("columns have no names in this format", where=str(path), got=repr(column), do=do)
    return default if column is None else column


def within(column: int, width: int, where: str) -> int:
    """The column. Raises DataError where there are not as many."""
    if not -width <= column < width:
        do = "set data.word_column and data.tag_column in params.yaml"
        raise DataError("no such column", where=where, got=f"column {column} of {width}", do=do)
    return column


def place_of(sentence: Sentence, word: int) -> str:
    """file:line of a word, by its number."""
    return f"{sentence.file}:{sentence.lines[word]}" if sentence.lines else sentence.file


def with_words(sentences: Iterable[Sentence], path: Path) -> Iterator[Sentence]:
    """The same sentences. Raises DataError for one without words, and where there is none at all."""
    empty = True
    for sentence in sentences:
        if not sentence.words:
            raise DataError("a sentence without words", where=sentence.place, do="choose another format")
        empty = False
        yield sentence
    if empty:
        raise DataError("no sentence to be written", where=str(path))


def check(text: str, forbidden: str, what: str, where: str) -> str:
    """The text. Raises DataError where it is empty or holds one of the characters that its format cannot hold."""
    match = _UNWRITABLE.search(text)
    found = match[0] if match else next((char for char in text if char in forbidden), "")
    if found or not text:
        why = f"has {found!r}, which this format cannot hold" if found else "is empty"
        raise DataError(f"{what} {why}", where=where, got=repr(text[:60]), do="mend it, or choose another format")
    return text


def marks(sentence: Sentence, before: int | None) -> int:
    """How many documents begin before a sentence, where the sentence before is of document `before`.

    Raises DataError where marks cannot say it: they count up, and there is none for no document.
    """
    document = sentence.document
    if document == before:
        return 0
    number = 0 if document is None else document - (-1 if before is None else before)
    if not 0 < number <= FURTHEST:
        got = f"{document} behind {before}"
        do = "number documents from 0, in order"
        raise DataError("a document that no mark between sentences can say", where=sentence.place, got=got, do=do)
    return number
