"""CoNLL-2012 (OntoNotes): twelve columns or more, separated by blanks or tabs, an empty line after each sentence.

`#begin document (bc/cctv/00/cctv_0000); part 000` and `#end document` stand around each document. The word is column 3
(0-based), the named entity column 10, in brackets: `(PERSON*`, `*`, `*)`, `(GPE)`; these become IOB2 tags.
data.tag_column names another column (4 is the part of speech), which is read as brackets if the file's first word has
them there, and otherwise as it is. Other columns, such as senses, arguments and coreference, are not read. Other lines
that begin with # are noted and not read.

`write` puts - into the other columns. It cannot hold tags that are not legal in IOB2, words with a blank, tab or
newline, types with one of these or ( ) *, or documents that do not count up from 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from fpplm_core.data.formats import Holding, get, not_empty
from fpplm_core.data.formats._columns import checked, head_lines, marks, number_of, with_words, within
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.data.text_files import read_lines
from fpplm_core.errors import DataError
from fpplm_core.tagging.schemes import OUTSIDE, split_tag, tag_errors

HOLDS: frozenset[Holding] = frozenset({"tags", "words", "documents"})
BEGIN, END = "#begin document", "#end document"
WIDTH = 12  # at least: a sentence has a column more for each predicate
NUMBER, WORD, ENTITY = 2, 3, 10
BLANK = " \t\r"
_BRACKETS = re.compile(r"(?:\(([^()*]+))?(\*?)(\)?)")


def recognise(path: Path, head: str) -> str | None:
    if head.lstrip().startswith(BEGIN):
        return f"it begins with {BEGIN}"
    rows = [_cells(line) for line in head_lines(head) if line.strip(BLANK) and not line.startswith("#")]
    if not rows or get("conllu").recognise(path, head):
        return None
    if all(len(row) >= WIDTH and row[NUMBER].isdigit() and _in_brackets(row[ENTITY]) for row in rows):
        return f"column {ENTITY} has entities in brackets"
    return None


def _cells(line: str) -> list[str]:
    return re.split("[ \t]+", line.strip(BLANK))


def _in_brackets(cell: str) -> bool:
    match = _BRACKETS.fullmatch(cell)
    return match is not None and bool(match[2] or (match[1] and match[3]))


@not_empty("sentence", do="put one word and its columns on each line")
def read(path: Path, options: Options) -> Iterator[Sentence]:
    word = number_of(options.word_column, WORD, path)
    column = word if options.words_only else number_of(options.tag_column, ENTITY, path)
    # Whether the column has brackets; None: not known before the first word.
    brackets = False if options.words_only else True if options.tag_column is None else None
    begun: int | None = None  # the line at which the document began that is not at its end
    document: int | None = None
    documents = 0
    words: list[str] = []
    tags: list[str] = []
    lines: list[int] = []
    width = 0  # of the sentence

    for number, line in enumerate(chain(read_lines(path), [""]), start=1):
        where = f"{path}:{number}"
        bare = line.strip(BLANK)
        if bare.startswith("#") and not bare.startswith((BEGIN, END)):
            options.notes.add("comments are not read", f"{where}: {bare[:60]}")
            continue
        if bare and not bare.startswith("#"):
            cells = _cells(line)
            if len(cells) < WIDTH or (words and len(cells) != width):
                got = f"{len(cells)} in {bare[:60]!r}"
                do = f"give {WIDTH} or more, and as many in each line of a sentence"
                raise DataError("wrong number of columns", where=where, got=got, do=do)
            cell = cells[within(column, len(cells), where)]
            if brackets is None:
                brackets = "*" in cell or _in_brackets(cell)
            words.append(cells[within(word, len(cells), where)])
            tags.append(cell)
            width = len(cells)
            lines.append(number)
            continue
        if words:
            found = _from_brackets(tags, lines, path) if brackets else tags
            yield Sentence(tuple(words), tuple(found), str(path), tuple(lines), document)
            words, tags, lines = [], [], []
        if bare:
            if bare.startswith(BEGIN) != (begun is None):
                what = "a document begins inside another" if begun else "the end of a document that was not begun"
                raise DataError(what, where=where, got=repr(bare[:60]), do=f"put {BEGIN} and {END} around each")
            begun = number if begun is None else None
            document = documents if begun else None
            documents += begun is not None
    if begun is not None:
        do = f"see whether the file is whole, then add {END}"
        raise DataError("a document without an end", where=f"{path}:{begun}", do=do)


def _from_brackets(cells: list[str], lines: list[int], path: Path) -> list[str]:
    """IOB2 tags. Raises DataError for brackets that are nested, or are not closed in the sentence."""
    tags = []
    kind, begun = "", 0  # of the entity that is open, and its line
    for cell, line in zip(cells, lines, strict=True):
        where, got = f"{path}:{line}", repr(cell[:60])
        match = _BRACKETS.fullmatch(cell)
        if kind and (match[1] if match else "(" in cell):
            raise DataError(
                f"a bracket inside the one opened in line {begun}", where=where, got=got, do="keep one of them"
            )
        if match is None or not _in_brackets(cell):
            do = "give one of (TYPE) (TYPE* * *) or name another column (data.tag_column)"
            raise DataError("no entity in brackets", where=where, got=got, do=do)
        opened, _, closed = match.groups()
        if closed and not (opened or kind):
            raise DataError("a closing bracket without an opening one", where=where, got=got, do="correct the line")
        tags.append(f"B-{opened}" if opened else f"I-{kind}" if kind else OUTSIDE)
        if opened:
            kind, begun = opened, line
        if closed:
            kind = ""
    if kind:
        do = "close it before the sentence ends"
        raise DataError("a bracket is not closed", where=f"{path}:{begun}", got=repr(f"({kind}"[:60]), do=do)
    return tags


def write(sentences: Iterable[Sentence], path: Path) -> None:
    document: int | None = None
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for sentence in with_words(sentences, path):
            rows = list(_rows(sentence))
            for number in range(marks(sentence, document)):
                first = number if document is None else document + 1 + number
                stream.write(f"{END}\n" * (first > 0) + f"{BEGIN} ({first}); part 000\n")
            stream.writelines([*rows, "\n"])
            document = sentence.document
        if document is not None:
            stream.write(f"{END}\n")


def _rows(sentence: Sentence) -> Iterator[str]:
    for fault in tag_errors(sentence.tags, "IOB2"):
        do = "convert it to the scheme IOB2"
        raise DataError(fault.reason, where=sentence.place_of(fault.word), do=do)
    following = (*sentence.tags[1:], OUTSIDE)
    rows = checked(sentence, " \t\n", " \t\n()*")
    for number, ((word, tag, _), after) in enumerate(zip(rows, following, strict=True)):
        prefix, kind = split_tag(tag)
        opened = f"({kind}" if prefix == "B" else ""
        ends = prefix != OUTSIDE and not after.startswith("I")
        entity = f"{opened})" if opened and ends else f"{opened}*{')' * ends}"
        yield " ".join(["-", "0", str(number), word, *"-" * 6, entity, "-"]) + "\n"
