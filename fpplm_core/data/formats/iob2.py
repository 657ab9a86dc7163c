"""Universal NER's .iob2: rows `ID word tag annotator annotator` separated by tabs, below comments.

There may be three or four columns, too; annotators are not read. The word is the second column, the tag the third, if
params.yaml names no others (by number). `# text = …` is the sentence's text, if it has the words and nothing else but
white space. Multiword ranges, as 1-2, and empty nodes, as 1.1, are no words (see conllu). `# newdoc` stands for a batch
of annotation, not for a document: skipped and noted. Other comments are not read.

`write` gives - as the annotators. It cannot hold words, tags or texts with a tab or newline, or texts that contain more
than the words and white space between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from fpplm_core.data.formats import Holding
from fpplm_core.data.formats._columns import TAG, check, checked, head_lines, number_of, with_words, within
from fpplm_core.data.formats._ud import NEWDOC, Row, blocks, is_row, numbered, sentence_of, text_comment
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError

HOLDS: frozenset[Holding] = frozenset({"tags", "words", "text"})
WIDTHS = range(3, 6)
WORD, TAG_COLUMN, ANNOTATOR = 1, 2, 3


def recognise(path: Path, head: str) -> str | None:
    lines = [line for line in head_lines(head) if not line.startswith("#")]
    rows = [line.split("\t") for line in lines if line.strip()]
    if not all(len(cells) in WIDTHS and is_row(cells) for cells in rows):
        return None
    words = [cells for cells in rows if cells[0].isdigit()]
    if not words or not all(TAG.fullmatch(cells[TAG_COLUMN]) and not _tags_beside(cells) for cells in words):
        return None
    last = 0
    for line in lines:
        number = line.partition("\t")[0]
        if not line.strip():
            last = 0
        elif number.isdigit():
            if number != str(last + 1):
                return None
            last += 1
    return "rows of a word's number, the word and its tag, separated by tabs"


def _tags_beside(cells: list[str]) -> bool:
    """Whether an annotator's column holds a tag, as where entities are nested: then one must be named."""
    return any(TAG.fullmatch(cell) for cell in cells[ANNOTATOR:])


def read(path: Path, options: Options) -> Iterator[Sentence]:
    word = number_of(options.word_column, WORD, path)
    tag = word if options.words_only else number_of(options.tag_column, TAG_COLUMN, path)

    def tag_of(row: Row) -> str:
        if options.tag_column is None and _tags_beside(row.cells):
            do = "name the column of the tag (data.tag_column)"
            got = repr("\t".join(row.cells)[:60])
            raise DataError("several columns of tags", where=f"{path}:{row.line}", got=got, do=do)
        return row.cells[tag]

    for block in blocks(path, range(TAG_COLUMN, WIDTHS.stop) if options.words_only else WIDTHS):
        for line, comment in block.comments:
            if NEWDOC.match(comment):
                options.notes.add("newdoc comments begin a batch of annotation, no document", f"{path}:{line}")
        for row in block.rows:
            for column in (word, tag):
                within(column, len(row.cells), f"{path}:{row.line}")
        if block.rows:
            yield sentence_of(block, path, options, word, tag_of)


def write(sentences: Iterable[Sentence], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for sentence in with_words(sentences, path):
            checked(sentence, "\t\n", "\t\n")
            stream.write(text_comment(sentence))
            for number, token, word in numbered(sentence):
                form = check(token.form, "\t\n", "a word", sentence.place)
                tag = "_" if word is None else sentence.tags[word]
                stream.write(f"{number}\t{form}\t{tag}\t-\t-\n")
            stream.write("\n")
