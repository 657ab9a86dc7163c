"""CoNLL-style columns: one word per line, columns separated by tabs or blanks, an empty line after each sentence.

The word is the first column and the tag the last one, unless params.yaml names others (by number) or the content of the
first rows suggests others: `_layout.py` has the rules. An ambiguous file is refused, and the error shows its columns.
Columns are separated by tabs if the first word's line contains one, otherwise by blanks or tabs. data.separator names
tab or blank, or comma or semicolon (a cell may then be in quotes).

A `-DOCSTART-` line begins a document, in any case, also as `-DOCSTART-(d1)`. A line that begins with `#` is a comment,
skipped and noted, if it has another number of columns than the file, or has no tag where all words have O or
PREFIX-TYPE, or no number where words are numbered, or is `# key = value`. Line ends (LF or CRLF), a byte order mark,
leading and trailing blanks and a missing last newline do not matter.

`write` separates a word and its tag by a tab. It cannot hold what would be read as something else: words with a tab or
newline, empty words, the word `-DOCSTART-`; tags with a tab or newline, empty or with blanks after them; documents
that do not count up from 0; a file in which each word begins with `#` or `-DOCSTART-`, or whose first rows look like
other columns, such as words that are 1, 2, 3 with tags that are none.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from fpplm_core.data.formats import MARKUP, Holding, get
from fpplm_core.data.formats._columns import (
    TAG,
    check_width,
    checked,
    head_lines,
    is_binary,
    marks,
    number_of,
    split_line,
    with_words,
    within,
)
from fpplm_core.data.formats._foreign import refuse_foreign
from fpplm_core.data.formats._layout import ROWS, Layout, choose
from fpplm_core.data.formats._mistaken import is_tag
from fpplm_core.data.options import SEPARATORS, Options, format_names
from fpplm_core.data.records import Sentence
from fpplm_core.data.text_files import read_lines, refuse_cr_rows
from fpplm_core.errors import DataError

HOLDS: frozenset[Holding] = frozenset({"tags", "words", "documents"})
DOCUMENT = "-DOCSTART-"
_DOCUMENT = re.compile(r"-DOCSTART-(?![^\W\d_]|[,;])", re.IGNORECASE)  # -docstart-, -DOCSTART-(d1)
BLANK = " \t\r"  # what is cut off at the end of a line
NAMES = {"\t": "tabs", " ": "blanks or tabs", ",": "commas", ";": "semicolons"}
T = TypeVar("T")
_RANGE = re.compile(r"[0-9]+[-.][0-9]+")  # what numbers a multiword token, as 1-2, or an empty node, as 1.1
_KEY = re.compile(r"#\s*[\w.:-]+ += ")  # of a comment `# key = value`
SAME = 0.9  # share of lines that must have as many columns as the first for a file to be recognised


def recognise(path: Path, head: str) -> str | None:
    lines = [line for line in (line.rstrip(BLANK) for line in head_lines(head)) if line]
    rows = [line for line in lines if _is_word(line)]
    if not rows or path.suffix == ".ann" or MARKUP.match(head) or is_binary(head):
        return None
    separator = "\t" if "\t" in rows[0] else " "
    cells = [split_line(line, separator) for line in rows]
    width = len(cells[0])
    if width < 2 or sum(len(row) == width for row in cells) < SAME * len(cells):
        return None
    tagged = any(TAG.fullmatch(cell) for row in cells for cell in row[1:])
    if separator == " " and not tagged:  # or any text would be of this format
        return None
    # Columns of words are what other formats have, too, with marks of their own.
    if any(get(name).recognise(path, head) for name in format_names() if name != "conll"):
        return None
    return f"{width} columns separated by {NAMES[separator].partition(' ')[0]}"


def read(path: Path, options: Options) -> Iterator[Sentence]:
    lines = (line.rstrip(BLANK) for line in read_lines(path))
    head = [*_until_word(lines), *islice(lines, ROWS)]
    refuse_foreign(path, head[0] if head else "")
    separator, width, layout = _layout(path, head, options)
    for note in layout.notes:
        options.notes.add(note, str(path))
    word, tag, number_column = layout[:3]
    document: int | None = None
    words: list[str] = []
    tags: list[str] = []
    numbers: list[int] = []
    for number, line in enumerate(chain(head, lines, [""]), start=1):
        starts_document = line[:1] == "-" and bool(_DOCUMENT.match(line) or line.startswith(DOCUMENT + separator))
        if line and not starts_document:
            cells = _cells(line, separator, path, number)
            if line[0] == "#" and (len(cells) != width or _is_comment(line, cells, separator, layout)):
                options.notes.add("comments are not read", f"{path}:{number}: {line[:60]}")
            elif len(cells) != width:
                raise DataError(
                    "wrong number of columns",
                    where=f"{path}:{number}",
                    got=f"{len(cells)} in {line[:60]!r}, but the file's first line has {width}",
                    do=f"correct the line (columns are separated by {NAMES[separator]})",
                )
            elif number_column is not None and not cells[number_column].isdecimal():
                if not _RANGE.fullmatch(cells[number_column]):
                    do = "correct the line, or name the columns (data.word_column, data.tag_column)"
                    raise DataError("not a word number", where=f"{path}:{number}", got=repr(line[:60]), do=do)
                options.notes.add("multiword ranges and empty nodes are not read", f"{path}:{number}: {line[:60]}")
            else:
                words.append(cells[word])
                tags.append(cells[tag])
                numbers.append(number)
            continue
        if words:
            yield Sentence(tuple(words), tuple(tags), str(path), tuple(numbers), document)
            words, tags, numbers = [], [], []
        if starts_document:
            document = 0 if document is None else document + 1


def _is_comment(line: str, cells: list[str], separator: str, layout: Layout) -> bool:
    return layout.is_comment(cells, separator) or (separator == " " and _KEY.match(line) is not None)


def _cells(line: str, separator: str, path: Path, number: int) -> list[str]:
    if separator not in ",;":
        return split_line(line, separator)
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        do = "correct the line, or choose the format csv"
        what = f"cells that cannot be split ({error})"
        raise DataError(what, where=f"{path}:{number}", got=repr(line[:60]), do=do) from None


def _until_word(lines: Iterator[T], text: Callable[[T], str] = str) -> Iterator[T]:
    """The lines up to the first that surely holds a word, which is the last."""
    for line in lines:
        yield line
        if _is_word(text(line)):
            return


def _is_word(line: str) -> bool:
    return bool(line) and not line.startswith(("#", DOCUMENT)) and not _DOCUMENT.match(line)


def _layout(path: Path, head: list[str], options: Options) -> tuple[str, int, Layout]:
    """What separates the columns, how many there are, and which to read. A header's line in `head` is emptied."""
    first = next((place for place, line in enumerate(head) if _is_word(line)), None)
    if first is None:
        if any(line.startswith("#") and is_tag(re.split("[ \t]", line)[-1]) for line in head):
            what = "every word begins with #: words and comments are indistinguishable"
            raise DataError(what, where=str(path), do="choose another format, such as jsonl or csv")
        raise DataError("no sentence in the file", where=str(path), do="put one word and its tag on each line")
    line, name = head[first], options.separator
    columns = options.word_column, options.tag_column
    word, tag = (None if column is None else number_of(column, 0, path) for column in columns)
    separator = SEPARATORS.get(name) or ("\t" if "\t" in line else " ")
    refuse_cr_rows(line, lambda row: len(split_line(row, separator)), f"{path}:{first + 1}")
    width = len(_cells(line, separator, path, first + 1))
    words_only = options.words_only or (word is not None and word == tag)
    if width < (1 if words_only else 2):
        raise DataError(
            "a line needs a word and a tag",
            where=f"{path}:{first + 1}",
            got=repr(line[:60]),
            do=f"separate columns by {'a tab or blanks' if name == 'auto' else NAMES[separator]} (data.separator)",
        )
    for column in (word, tag):
        within(column or 0, width, str(path))
    if separator in "\t ":
        check_width(line, filter(_is_word, head[first + 1 :]), separator, f"{path}:{first + 1}")
    layout = choose(_rows(head[first:], separator, width), word, tag, f"{path}:{first + 1}", words_only)
    if layout.header:
        options.notes.add("the header is not read", f"{path}:{first + 1}: {line[:60]}")
        head[first] = ""
    return separator, width, layout


def _rows(lines: Iterable[str], separator: str, width: int) -> list[list[list[str]]]:
    """The cells of the rows that surely hold words of sentences, without those of another width."""
    found: list[list[list[str]]] = [[]]
    for line in lines:
        if not line and found[-1]:
            found.append([])
        elif _is_word(line):
            try:
                cells = _cells(line, separator, Path(), 0)
            except DataError:  # reading it raises it again
                continue
            if len(cells) == width:
                found[-1].append(cells)
    return [rows for rows in found if rows]


def write(sentences: Iterable[Sentence], path: Path) -> None:
    lines = _lines(with_words(sentences, path))
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        head = [*_until_word(lines, itemgetter(0)), *islice(lines, ROWS)]
        layout = _as_read([line for line, _ in head], head[-1][1])
        for line, place in chain(head, lines):
            if line.startswith("#") and layout.is_comment(line.split("\t"), "\t"):
                what = "a word that begins with # and has no tag as the others have: it would be read as a comment"
                raise DataError(what, where=place, got=repr(line[:60]), do="choose another format")
            stream.write(line + "\n")


def _lines(sentences: Iterable[Sentence]) -> Iterator[tuple[str, str]]:
    """The lines of a file, each with the place of its sentence."""
    document: int | None = None
    first = True
    for sentence in sentences:
        rows = [f"{word}\t{tag}" for word, tag in _checked(sentence)]
        marks_before = [f"{DOCUMENT}\tO", ""] * marks(sentence, document)
        if first and not marks_before and rows[0].startswith("\ufeff"):
            marks_before = [""]  # as the first character of a file it would be a byte order mark
        for line in (*marks_before, *rows, ""):
            yield line, sentence.place
        document, first = sentence.document, False


def _as_read(head: list[str], place: str) -> Layout:
    """The layout as the reader will see it. Raises DataError if it would read something else."""
    if not any(map(_is_word, head)):
        what = f"every word begins with # or {DOCUMENT}: words and comments would be indistinguishable"
        raise DataError(what, where=place, do="choose another format")
    do = "choose another format"
    try:
        _, _, layout = _layout(Path(), head, Options())
    except DataError as error:
        raise error.replace(where=place, do=do) from None
    if layout.header or layout.number is not None:
        raise DataError("the first words would be read as a header or as numbers", where=place, do=do)
    return layout


def _checked(sentence: Sentence) -> Iterator[tuple[str, str]]:
    for word, tag, where in checked(sentence, "\t\n", "\t\n"):
        if tag != tag.rstrip(BLANK):
            raise DataError("a tag followed by blanks", where=where, got=repr(tag[:60]), do="correct the tag")
        if _DOCUMENT.match(word):
            what = "a word that would begin a document"
            raise DataError(what, where=where, got=repr(word[:60]), do="choose another format")
        yield word, tag
