"""CSV: a table with one word per row and a header, its cells separated by commas, semicolons or tabs.

    Sentence #,Word,POS,Tag
    Sentence: 1,Thousands,NNS,O
    ,of,IN,O

Columns are found by their names: fpplm_core/data/formats/_long.py lists the names, and says where sentences and
documents begin. Other columns are noted and not read. The separator is data.separator, or else the one that occurs most
often in the header. Cells may be in double quotes; a quote inside such a cell is doubled. A word or tag with both a
newline and a separator is refused: such a cell arises if a word that is a quote is not quoted itself. The line of a row
is its first line in the file.

`write` gives the columns sentence, word, tag, document. It cannot hold a sentence without words, empty words or tags,
zero characters, words or tags with both a newline and a comma or longer than Python's csv reads (131,072 characters),
or a sentence without a document after one with a document.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from fpplm_core.data.formats import Holding, not_empty
from fpplm_core.data.formats._columns import TAG, head_lines
from fpplm_core.data.formats._long import (
    HEADER,
    NAMES,
    Columns,
    columns_of,
    has_columns,
    sentences_of,
    to_rows,
)
from fpplm_core.data.options import SEPARATORS, Options, Separator
from fpplm_core.data.records import Sentence
from fpplm_core.data.text_files import CONVERT, read_lines
from fpplm_core.errors import DataError, shown

HOLDS: frozenset[Holding] = frozenset({"tags", "words", "documents"})
CONLL = re.compile(r"\s*|-DOCSTART-.*|#[^\t]*")  # lines of the format conll between its rows
MOST_LOOKED_AT = 1000  # rows, for whether a table without sentences holds words or texts
LONGEST = 131_072  # characters of a cell, csv.field_size_limit()


def recognise(path: Path, head: str) -> str | None:
    lines = head_lines(head)
    separator = _separator(lines[0], "auto")
    names, *rows = ([cell.strip('" ') for cell in line.split(separator)] for line in lines)
    if "\0" in head or not has_columns(names, "word", "tag"):
        return None
    if separator == "\t" and not has_columns(names, "sentence") and any(map(CONLL.fullmatch, lines)):
        return None
    tags = [number for number, name in enumerate(names) if name.casefold() in NAMES["tag"]]
    # Texts with a label each (text classification) have such names, too.
    marked = any(TAG.fullmatch(row[number]) for row in rows for number in tags if number < len(row))
    return f"a header with {', '.join(names)[:60]}" if marked or has_columns(names, "sentence") else None


@not_empty("sentence", do="put one word and its tag in each row")
def read(path: Path, options: Options) -> Iterator[Sentence]:
    lines = _lines(path)
    header = next(lines, "")
    separator = _separator(header, options.separator)
    rows = _rows(chain([header], lines), separator, path)
    number, names = next(rows, (1, []))
    columns = columns_of(names, options, f"{path}:{number}")
    named = options.word_column is not None and (options.words_only or options.tag_column is not None)
    if columns.sentence is None and not named:
        head = list(islice(rows, MOST_LOOKED_AT))
        _check_words([row for _, row in head if len(row) == len(names)], columns, f"{path}:{number}")
        rows = chain(head, rows)
    yield from sentences_of(_checked(rows, columns, len(names), separator, path), columns, path)


def _check_words(rows: list[list[str]], columns: Columns, where: str) -> None:
    """Raises DataError for texts with a label each, where no column of sentences says that rows hold words."""
    texts = [row[columns.word] for row in rows if " " in row[columns.word].strip()]
    tagged = columns.tag != columns.word and any(TAG.fullmatch(row[columns.tag]) for row in rows)
    if 2 * len(texts) > len(rows) and not tagged:
        what = "rows of texts, not of words: cannot tell which columns to read"
        do = "name the columns of words and tags (data.word_column, data.tag_column), or export another format"
        raise DataError(what, where=where, got=shown(texts[0]), do=do)


def _rows(lines: Iterator[str], separator: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """(first line, cells) of each row."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            is_cr = "new-line" in str(error)  # the word of Python's csv for CR outside quotes
            do = CONVERT if is_cr else "correct its quotes, or name data.separator"
            raise DataError(f"cells that cannot be split ({error})", where=f"{path}:{number}", do=do) from None
        yield number, cells


def _lines(path: Path) -> Iterator[str]:
    for number, line in enumerate(read_lines(path), start=1):
        if "\0" in line:
            raise DataError("a zero byte", where=f"{path}:{number}", got=repr(line[:60]), do="give UTF-8 text")
        yield line + "\n"


def _separator(header: str, name: Separator) -> str:
    return SEPARATORS[name] if name != "auto" else max(",;\t", key=header.count)


def _checked(
    rows: Iterable[tuple[int, list[str]]], columns: Columns, width: int, separator: str, path: Path
) -> Iterator[tuple[int, Sequence[str]]]:
    for line, cells in rows:
        where = f"{path}:{line}"
        if cells and len(cells) != width:
            got = f"{len(cells)} in {repr(cells)[:60]}, but the header has {width}"
            do = "correct the row, or name data.separator"
            raise DataError("wrong number of cells", where=where, got=got, do=do)
        for number in columns[:2] if cells else ():
            _check(cells[number], separator, where)
        yield line, cells


def _check(cell: str, separator: str, where: str) -> None:
    """Raises DataError for a cell that contains rows, as a word does that is a quote and is not quoted itself."""
    if "\n" in cell and separator in cell:
        what, do = "a word or tag that spans lines and contains separators", 'write a word that is a quote as """"'
        raise DataError(what, where=where, got=repr(cell[:60]), do=do)


def write(records: Iterable[Sentence], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(",".join(HEADER) + "\n")
        for sentence, word, tag, document in to_rows(_fitting(records), path):
            cells = (str(sentence), word, tag, "" if document is None else str(document))
            stream.write(",".join(map(_quoted, cells)) + "\n")


def _fitting(sentences: Iterable[Sentence]) -> Iterator[Sentence]:
    """The same sentences. Raises DataError for a cell that the reader would refuse."""
    for sentence in sentences:
        for number, cells in enumerate(zip(sentence.words, sentence.tags, strict=True)):
            if max(map(len, cells)) > LONGEST:
                what, do = f"a word or tag of more than {LONGEST} characters", "choose another format"
                raise DataError(what, where=sentence.place_of(number), got=repr(max(cells, key=len)[:60]), do=do)
            for cell in cells:
                _check(cell, ",", sentence.place_of(number))
        yield sentence


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\r\n') else cell
