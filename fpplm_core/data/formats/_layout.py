"""Chooses the columns of words and tags by their content, from the first rows of a file of columns.

The word is the first column, the tag the last one, unless the content says otherwise. Each such choice is noted:

numbers     a first column that counts the words of each sentence (1, 2, 3, … or from 0) is not the word
tags        where the last column has no O and PREFIX-TYPE, but exactly one other has, that one is the tag
chunks      columns of chunks (NP, VP, …) beside tags, as in CoNLL-2003, are not read
GermEval    behind numbered words, two columns of tags are outer and inner tags: the outer ones are read
header      a first row that names the columns (word, token, … and tag, ner, …) is not read

What stays ambiguous is refused with the columns shown: so are ids or counts in place of words, and rows that hold whole
texts (`_mistaken.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, NoReturn

from fpplm_core.data.formats._mistaken import ids_in, is_tag, texts_in
from fpplm_core.errors import DataError

ROWS = 2000  # rows at the beginning of a file whose content is looked at: sentences enough to meet an entity
LEAST = 0.9  # share of a column's cells that must be tags for a column of tags: the check reports the others
TAG_LIKE = re.compile(r"[Oo]|[BIESLUMWbieslumw][-_]\S.*|\S.*[-_][BIESLUMW]")  # B-PER, B_PER, b-per, PER-B
CHUNKS = frozenset(
    ["NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP", "PNP", "NC", "VC", "PC"]
)
EMPTY = frozenset(["", "_", "-", "*", "-X-"])  # cells that hold nothing
WORD_NAMES = frozenset(["word", "words", "token", "tokens", "form", "text"])
TAG_NAMES = frozenset(["tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "entity", "iob", "bio"])
SHOWN = 80  # characters of a row that an error shows
_NUMERIC = re.compile(r"[0-9]+(?:[-.][0-9]+)?")
Row = Sequence[str]


class Layout(NamedTuple):
    """Which columns (0-based) to read; `number` is the one that counts words. `notes` says what is not as usual."""

    word: int
    tag: int
    number: int | None = None
    tagged: bool = False  # whether the tags are O and PREFIX-TYPE
    header: bool = False
    notes: tuple[str, ...] = ()

    def is_comment(self, cells: Row, separator: str) -> bool:
        """Whether a line that begins with # is a comment, although it has as many cells as a word has.

        Between tabs, #Berlin is a word, whatever its tag.
        """
        if self.number is not None and not cells[self.number][:1].isdigit():
            return True
        is_word = separator == "\t" and cells[0][1:2].strip()
        return self.tagged and not is_word and not TAG_LIKE.fullmatch(cells[self.tag])


def choose(
    sentences: Sequence[Sequence[Row]], word: int | None, tag: int | None, where: str, words_only: bool
) -> Layout:
    """The layout of a file that begins with these sentences, whose rows have one width; None asks for a choice.

    With `words_only` the tag's column is the word's. Raises DataError if the choice is ambiguous.
    """
    header = _is_header(sentences[0][0])
    names = [cell.strip().casefold() for cell in sentences[0][0]] if header else []
    rest = [sentences[0][1:], *sentences[1:]] if header else list(sentences)
    table = _Table([rows for rows in rest if rows], where, len(sentences[0][0]))
    if not table.rows:
        return Layout(0 if word is None else word, -1 if tag is None else tag)
    number, notes = None, []
    if word is None:
        named = [place for place, name in enumerate(names) if name in WORD_NAMES]
        word, number = (named[0], None) if len(named) == 1 else table.word()
        if number is not None:
            notes.append(f"column 0 numbers the words: column {word} is read as the words")
        if why := texts_in(table.sentences, word):
            table.refuse(why)
    if words_only:
        return Layout(word, word, number, False, header, tuple(notes))
    if tag is None:
        named = [place for place, name in enumerate(names) if name in TAG_NAMES]
        tag, note = (named[0], "") if len(named) == 1 else table.tag(word % table.width, number)
        notes += [note] * bool(note)
    return Layout(word, tag, number, table.is_tags(tag), header, tuple(notes))


def _is_header(row: Row) -> bool:
    names = {cell.strip().casefold() for cell in row}
    return len(names) == len(row) and bool(names & WORD_NAMES) and bool(names & TAG_NAMES)


class _Table:
    """The first rows of a file, by sentences and by columns."""

    def __init__(self, sentences: Sequence[Sequence[Row]], where: str, width: int) -> None:
        self.sentences, self.where, self.width = sentences, where, width
        self.rows = [row for rows in sentences for row in rows]

    def cells(self, column: int) -> list[str]:
        return [row[column] for row in self.rows]

    def is_tags(self, column: int) -> bool:
        return sum(TAG_LIKE.fullmatch(cell) is not None for cell in self.cells(column)) >= LEAST * len(self.rows)

    def has_entities(self, column: int) -> bool:
        return self.is_tags(column) and any(cell not in "Oo" for cell in self.cells(column))

    def is_chunks(self, column: int) -> bool:
        types = {re.split("[-_]", cell, maxsplit=1)[-1] for cell in self.cells(column)} - {"O"}
        return bool(types) and types <= CHUNKS

    def is_numeric(self, column: int) -> bool:
        return all(map(_NUMERIC.fullmatch, self.cells(column)))

    def counts_words(self) -> bool:
        """Whether the first column counts on in each sentence, from 0 or 1 or from the sentence before."""
        last = 0
        for rows in self.sentences:
            numbers = [int(row[0]) for row in rows if row[0].isdecimal() and len(row[0]) < 10]
            if not numbers or numbers[0] not in (0, 1, last + 1):
                return False
            if any(after != before + 1 for before, after in pairwise(numbers)):
                return False
            last = numbers[-1]
        return any(len(rows) > 1 for rows in self.sentences)

    def word(self) -> tuple[int, int | None]:
        """The column of the word, and the one that counts words, if there is one."""
        if self.has_entities(0) and not self.is_tags(self.width - 1):
            self.refuse("the first column holds tags")
        if self.width == 1:
            return 0, None
        if self.width == 2:  # the other one is the tag
            if self.is_numeric(0) and self.counts_words() and not self.is_tags(1):
                return 1, 0
            if any(map(is_tag, self.cells(1))):
                return 0, None
        elif self.is_numeric(0):
            found = next((place for place in range(1, self.width) if not self.is_numeric(place)), self.width)
            if not self.counts_words() or found >= self.width - 1:
                self.refuse("the first column holds numbers, which may count the words")
            return found, 0
        elif len(self.rows) > 2 and len(set(self.cells(0))) == 1:
            self.refuse("the first column is the same in all rows")
        if why := ids_in(self.sentences, [place for place in range(self.width) if self.is_tags(place)]):
            self.refuse(why)
        return 0, None

    def tag(self, word: int, number: int | None) -> tuple[int, str]:
        """The column of the tag, and a note if it is not the last one, or ""."""
        last = self.width - 1
        tags = [place for place in range(self.width) if place not in (word, number) and self.is_tags(place)]
        nested = number is not None and tags == [word + 1, last] and not self.is_chunks(word + 1)
        if nested and (self.has_entities(word + 1) or not self.has_entities(last)):
            return word + 1, f"column {last} holds inner tags, which are not read: column {word + 1} is read"
        tags = [place for place in tags if place == last or self.has_entities(place)]
        named = [place for place in tags if not self.is_chunks(place)]
        if len(tags) > 1 and (named in ([], [last])):
            return last, ""
        if len(tags) > 1:
            self.refuse(f"{len(tags)} columns hold tags")
        cells = set(self.cells(last))
        if last not in tags and named:
            if not cells.isdisjoint("Oo"):
                self.refuse("two columns may hold the tags")
            return named[0], f"column {named[0]} holds tags, and the last one does not: it is read"
        if last == word or cells <= EMPTY:
            self.refuse("no column holds tags")
        if all(map(_NUMERIC.fullmatch, cells)):
            self.refuse("the tags are numbers, which have no names")
        return last, ""

    def refuse(self, why: str) -> NoReturn:
        got = ", ".join(f"{place}: {cell!r}" for place, cell in enumerate(self.rows[0]))
        got = got if len(got) <= SHOWN else got[:SHOWN] + "…"
        do = "name the columns by number (data.word_column, data.tag_column)"
        raise DataError(f"{why}: cannot tell which columns to read", where=self.where, got=f"columns {got}", do=do)
