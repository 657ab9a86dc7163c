"""CoNLL-U of Universal Dependencies: ten tab-separated columns, ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC.

The word is FORM, or the column data.word_column. Its tag is

in data.tag_column   if given: the number of a column, or its name (`# global.columns` names further columns). With
                     UPOS, tags are parts of speech. The tag `_` is kept.
in the 11th column   if there is exactly one further column
in MISC              otherwise: NER=B-PER, or the same with NE, ner or Entity, one of them in the whole file. A word
                     without it is O; a file without it is refused. So are bracketed mentions of coreference
                     (Entity=(person…).

`# newdoc` begins a document. The sentence's text is `# text = …`, or else the forms as SpaceAfter=No joins them. A
multiword range, such as 1-2, is not a word: its words share its place in the text. Ranges and empty nodes, such as 1.1,
are skipped, and noted if they have a tag. Other columns and comments are not read.

`write` puts the tag into MISC, as NER=, if it is not O or the word is the file's first. It cannot hold words or texts
with a tab or newline, tags with a blank or |, texts that contain more than the words and white space between them, or
documents that do not count up from 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fpplm_core.data.formats import Holding
from fpplm_core.data.formats._columns import TAG, check, checked, head_lines, marks, with_words, within
from fpplm_core.data.formats._ud import NEWDOC, Row, blocks, is_row, numbered, sentence_of, text_comment
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError

HOLDS: frozenset[Holding] = frozenset({"tags", "words", "text", "documents"})
COLUMNS = ["ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC"]
MISC = 9
ATTRIBUTES = ("NER", "NE", "ner", "Entity")
CLOSE = "SpaceAfter=No"
_NAMES = re.compile(r"#[ \t]*global\.columns[ \t]*=(.*)", re.DOTALL)


def recognise(path: Path, head: str) -> str | None:
    rows = [line.split("\t") for line in head_lines(head) if line.strip() and not line.startswith("#")]
    if rows and len(rows[0]) >= len(COLUMNS) and is_row(rows[0]) and not head.lstrip().startswith("#begin document"):
        return f"{len(rows[0])} columns separated by tabs, the first numbers the words"
    return None


def read(path: Path, options: Options) -> Iterator[Sentence]:
    document: int | None = None
    names = COLUMNS
    width = form = 0  # the first row's, once it is read
    tag_column: int | None = None
    in_misc = _InMisc(path)

    def tag_of(row: Row) -> str:
        return in_misc.tag(row) if tag_column is None else row.cells[tag_column]

    for block in blocks(path, range(len(COLUMNS), 1000)):
        for line, comment in block.comments:
            if NEWDOC.match(comment):
                if block.rows and line > block.rows[0].line:
                    do = "put an empty line before it"
                    raise DataError("a document begins inside a sentence", where=f"{path}:{line}", do=do)
                document = 0 if document is None else document + 1
            elif match := _NAMES.match(comment):
                names = match[1].split()
                if names[: len(COLUMNS)] != COLUMNS:
                    do = "put these first: " + " ".join(COLUMNS)
                    raise DataError(
                        "columns in an unknown order", where=f"{path}:{line}", got=repr(match[1][:60]), do=do
                    )
        if not block.rows:
            continue
        if not width:
            width = len(block.rows[0].cells)
            form, tag_column = _columns(names, width, options, f"{path}:{block.rows[0].line}")
        for row in block.rows:
            if len(row.cells) != width:
                got = f"{len(row.cells)}, but the file's first row has {width}"
                raise DataError("wrong number of columns", where=f"{path}:{row.line}", got=got, do="correct the line")
        yield sentence_of(block, path, options, form, tag_of, document, _joined)
    if tag_column is None and not in_misc.attribute and not options.words_only:
        do = "name the column of the tags (data.tag_column), or give one word NER=O if the file has no entity"
        raise DataError(f"no word has {'=, '.join(ATTRIBUTES)}= in MISC, so none has a tag", where=str(path), do=do)


def _columns(names: list[str], width: int, options: Options, where: str) -> tuple[int, int | None]:
    """The numbers of the word's and the tag's column; None where the tag stands in MISC, or is not read."""

    def number(column: int | str) -> int:
        if isinstance(column, int):
            return within(column, width, where)
        if column not in names[:width]:
            do = f"use a number, or one of {', '.join(names)}"
            raise DataError("no such column", where=where, got=repr(column), do=do)
        return names.index(column)

    form = number("FORM" if options.word_column is None else options.word_column)
    if options.words_only:
        return form, None
    if options.tag_column is not None:
        return form, number(options.tag_column)
    if width > len(COLUMNS) + 1:
        do = "name the column of the tag (data.tag_column)"
        raise DataError("several additional columns", where=where, got=f"{width} columns", do=do)
    return form, len(COLUMNS) if width > len(COLUMNS) else None


def _joined(row: Row) -> bool:
    return CLOSE in row.cells[MISC].split("|")


class _InMisc:
    """Reads tags from MISC; `attribute` is the one that holds them in the whole file, "" before it is seen."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attribute = ""

    def tag(self, row: Row) -> str:
        where = f"{self.path}:{row.line}"
        pairs = [part.partition("=") for part in row.cells[MISC].split("|")]
        found = [(key, value) for key, _, value in pairs if key in ATTRIBUTES]
        if not found and TAG.fullmatch(row.cells[MISC]):
            do = f"name the column (data.tag_column: {MISC})"
            raise DataError("a tag in MISC without NER=", where=where, got=repr(row.cells[MISC][:60]), do=do)
        if not found:
            return "O"
        attribute, tag = found[0]
        self.attribute = self.attribute or attribute
        if len(found) > 1 or attribute != self.attribute:
            do = f"keep one, as {self.attribute}=, or name a column (data.tag_column)"
            raise DataError("tags in several attributes", where=where, got=repr(row.cells[MISC][:60]), do=do)
        if attribute == "Entity" and (tag.startswith("(") or tag.endswith(")")):
            do = "they may be nested: add a column of tags and name it (data.tag_column)"
            raise DataError("mentions in brackets, which are not tags", where=where, got=repr(tag[:60]), do=do)
        return tag


def write(sentences: Iterable[Sentence], path: Path) -> None:
    document: int | None = None
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for place, sentence in enumerate(with_words(sentences, path)):
            checked(sentence, "\t\n", "\t\n\r |")
            stream.write("# newdoc\n" * marks(sentence, document) + text_comment(sentence))
            for number, token, word in numbered(sentence):
                form = check(token.form, "\t\n", "a word", sentence.place)
                tag = "O" if word is None else sentence.tags[word]
                misc = [f"NER={tag}"] * (tag != "O" or (place, word) == (0, 0)) + [CLOSE] * token.joined
                stream.write("\t".join([number, form, *"_" * 7, "|".join(misc) or "_"]) + "\n")
            stream.write("\n")
            document = sentence.document
