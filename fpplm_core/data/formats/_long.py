"""Shared by the long tables csv and parquet: one word per row, columns found by their names.

word      word, token, text or form
tag       tag, label, ner, ner_tag or entity
sentence  sentence, sentence #, sentence_id, sent_id or sid; may be missing
document  document, document_id or doc; may be missing

Names match in any case. `word_column` and `tag_column` give the name or number of another column. A sentence begins
where the sentence cell or the document cell is not empty and differs from the last one; without a column of sentences,
also after a row whose cells are all empty. Such rows are skipped. If the first document cell is a whole number, all
must be, and they are kept; otherwise documents are counted from 0, and a new one begins where the cell changes. Rows
before the first document cell belong to no document. A row without a word or a tag is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fpplm_core.data.formats._columns import checked, with_words, within
from fpplm_core.data.formats._json import LARGEST
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError

NAMES = {
    "word": ("word", "token", "text", "form"),
    "tag": ("tag", "label", "ner", "ner_tag", "entity"),
    "sentence": ("sentence", "sentence #", "sentence_id", "sent_id", "sid"),
    "document": ("document", "document_id", "doc"),
}
HEADER = ("sentence", "word", "tag", "document")
Row = tuple[int, str, str, int | None]


class Columns(NamedTuple):
    """Column numbers, 0-based."""

    word: int
    tag: int
    sentence: int | None
    document: int | None


def columns_of(names: Sequence[str], options: Options, where: str) -> Columns:
    """The columns of a table with these names; others are noted. Raises DataError if they are missing or several.

    With `words_only` the tag's column is the word's.
    """
    word = _chosen(names, "word", options.word_column, where)
    tag = word if options.words_only else _chosen(names, "tag", options.tag_column, where)
    chosen = Columns(word, tag, *(_only(names, kind, where) for kind in ("sentence", "document")))
    for number, name in enumerate(names):
        if number not in chosen:
            options.notes.add(f"column {name[:60]!r} is not read", where)
    return chosen


def has_columns(names: Sequence[str], *kinds: str) -> bool:
    """Whether names of each of these kinds are among these names."""
    return all(_found(names, kind) for kind in kinds)


def _found(names: Sequence[str], kind: str) -> list[int]:
    return [number for number, name in enumerate(names) if name.strip().casefold() in NAMES[kind]]


def _only(names: Sequence[str], kind: str, where: str) -> int | None:
    found = _found(names, kind)
    if len(found) > 1:
        do = "rename the others" if kind in ("sentence", "document") else f"name one (data.{kind}_column)"
        got = ", ".join(repr(names[number][:60]) for number in found[:5])
        raise DataError(f"several columns could be the {kind}", where=where, got=got, do=do)
    return found[0] if found else None


def _chosen(names: Sequence[str], kind: str, column: int | str | None, where: str) -> int:
    if isinstance(column, int):
        return within(column, len(names), where) % len(names)
    if column is None:
        found = _only(names, kind, where)
    else:
        found = next((number for number, name in enumerate(names) if name.strip() == column), None)
    if found is None:
        got = ", ".join(repr(name[:60]) for name in names[:20])
        what = f"no column {column!r}" if column else f"no column has a known name for {kind}s"
        do = f"name one (data.{kind}_column): {', '.join(NAMES[kind])} are known"
        raise DataError(what, where=where, got=got, do=do)
    return found


def sentences_of(rows: Iterable[tuple[int, Sequence[str]]], columns: Columns, path: Path) -> Iterator[Sentence]:
    """The sentences of (line, cells), as many cells as the table has columns. Raises DataError with the line."""
    words: list[str] = []
    tags: list[str] = []
    lines: list[int] = []
    sentence = document_cell = ""
    document: int | None = None
    numbered = False  # whether documents are numbers

    def ended() -> Sentence:
        text, inside = "".join(sentence.split()), "".join(words)
        if len(sentence.split()) > 1 and inside != text and inside == text * (len(inside) // len(text)):
            where, do = f"{path}:{lines[0]}", "number the sentences, as equal neighbours cannot be told apart"
            raise DataError("a sentence cell with a text that repeats", where=where, got=repr(sentence[:60]), do=do)
        return Sentence(tuple(words), tuple(tags), str(path), tuple(lines), document)

    for line, cells in rows:
        if not any(cells):
            if columns.sentence is None and words:
                yield ended()
                words, tags, lines = [], [], []
            continue
        where = f"{path}:{line}"
        for kind, column in (("word", columns.word), ("tag", columns.tag)):
            if not cells[column]:
                do = "correct the row (a word outside entities has the tag O)"
                raise DataError(f"a row without a {kind}", where=where, got=repr(list(cells))[:60], do=do)
        new_sentence = "" if columns.sentence is None else cells[columns.sentence]
        new_document = "" if columns.document is None else cells[columns.document]
        next_document = bool(new_document) and new_document != document_cell
        if words and (next_document or (new_sentence and new_sentence != sentence)):
            yield ended()
            words, tags, lines = [], [], []
        if next_document:
            if document is None:
                numbered = _is_number(new_document)
            counted = 0 if document is None else document + 1
            document = _number(new_document, where) if numbered else counted
            document_cell = new_document
        sentence = new_sentence or sentence
        words.append(cells[columns.word])
        tags.append(cells[columns.tag])
        lines.append(line)
    if words:
        yield ended()


def _number(cell: str, where: str) -> int:
    if not _is_number(cell):
        do = f"give whole numbers from 0 to {LARGEST} throughout, or names"
        raise DataError("not a valid document number", where=where, got=repr(cell[:60]), do=do)
    return int(cell)


def _is_number(cell: str) -> bool:
    return cell.isascii() and cell.isdigit() and len(cell) <= 10 and str(int(cell)) == cell and int(cell) <= LARGEST


def to_rows(sentences: Iterable[Sentence], path: Path) -> Iterator[Row]:
    """The rows to write, with the cells that HEADER names; sentences are numbered from 1.

    Raises DataError for anything that would not be read back: no words, an empty word or tag, or a document that is
    not a number or is missing after another one.
    """
    document: int | None = None
    for number, sentence in enumerate(with_words(sentences, path), start=1):
        new = sentence.document
        if (new is None and document is not None) or (new is not None and not 0 <= new <= LARGEST):
            got, do = f"{new} after {document}", "number all documents from 0"
            raise DataError("a document number that a table cannot express", where=sentence.place, got=got, do=do)
        document = new
        yield from ((number, word, tag, document) for word, tag, _ in checked(sentence, "", ""))
