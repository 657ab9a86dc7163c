"""CoNLL-style columns: one word per line, columns separated by tabs or blanks, an empty line after each sentence.

The word is the first column, the tag the last one, if params.yaml names no others (by number); columns between, such as
POS and chunk of CoNLL-2003, are not read. Columns are separated by tabs only if the first word's line holds one, else
by blanks or tabs; data.separator names tab or blank, or comma or semicolon (where a cell may stand in quotes).

A `-DOCSTART-` line begins a document. A line that begins with `#` and has another number of columns than the file is a
comment, skipped and noted. Line ends (LF or CRLF), a byte order mark, trailing blanks and a missing last newline do
not matter.

`write` separates a word and its tag by a tab. It cannot hold what would be read as something else: words with a tab or
newline, empty words, the word `-DOCSTART-`; tags with a tab or newline, empty or with blanks after them; documents
that do not count up from 0; a file in which each word begins with `#` or `-DOCSTART-`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from fpplm_core.data.formats import Holding, get
from fpplm_core.data.formats._columns import TAG, check, head_lines, marks, number_of, place_of, with_words, within
from fpplm_core.data.options import Options, format_names
from fpplm_core.data.records import Sentence
from fpplm_core.data.text_files import read_lines
from fpplm_core.errors import DataError

HOLDS: frozenset[Holding] = frozenset({"tags", "words", "documents"})
DOCUMENT = "-DOCSTART-"
BLANK = " \t\r"  # what is cut off at the end of a line
SEPARATORS = {"tab": "\t", "blank": " ", "comma": ",", "semicolon": ";"}
NAMES = {"\t": "tabs", " ": "blanks or tabs", ",": "commas", ";": "semicolons"}
_OTHER = re.compile(r'\s*(?:\{\s*"|\[\s*["\[{]|<[?!])')  # JSON or XML
_BINARY = re.compile("[\0-\x08\x0e-\x1f\ufffd]")  # control characters, and bytes that are no UTF-8
STRAY = 0.1  # share of these that a text may have: its reader says where they stand
SAME = 0.9  # share of lines that must have as many columns as the first for a file to be recognised


def recognise(path: Path, head: str) -> str | None:
    lines = [line for line in (line.rstrip(BLANK) for line in head_lines(head)) if line]
    rows = [line for line in lines if _is_word(line)]
    if not rows or path.suffix == ".ann" or _OTHER.match(head) or _is_binary(head):
        return None
    separator = "\t" if "\t" in rows[0] else " "
    cells = [_split(line, separator) for line in rows]
    width = len(cells[0])
    if width < 2 or sum(len(row) == width for row in cells) < SAME * len(cells):
        return None
    if separator == " " and not any(TAG.fullmatch(row[-1]) for row in cells):  # or any text would be of this format
        return None
    if len(cells) > 1 and [row[0] for row in cells[:2]] == ["1", "2"]:  # words would be numbers: columns must be named
        return None
    # Columns of words are what other formats have, too, with marks of their own.
    if any(get(name).recognise(path, head) for name in format_names() if name != "conll"):
        return None
    return f"{width} columns separated by {NAMES[separator].partition(' ')[0]}"


def _is_binary(head: str) -> bool:
    return "\0" in head or len(_BINARY.findall(head)) > STRAY * len(head)


def read(path: Path, options: Options) -> Iterator[Sentence]:
    word, tag = number_of(options.word_column, 0, path), number_of(options.tag_column, -1, path)
    tag = word if options.words_only else tag
    lines = (line.rstrip(BLANK) for line in read_lines(path))
    head = list(_until_word(lines))  # a line of it that begins with # may be a word: the first sure word's line tells
    separator, width = _layout(path, head, options.separator, wanted=1 if word == tag else 2)
    for index in (word, tag):
        within(index, width, str(path))
    document: int | None = None
    words: list[str] = []
    tags: list[str] = []
    numbers: list[int] = []

    for number, line in enumerate(chain(head, lines, [""]), start=1):
        starts_document = line.startswith(DOCUMENT) and line[len(DOCUMENT) :][:1] in ("", " ", "\t", separator)
        if line and not starts_document:
            cells = _cells(line, separator, path, number)
            if len(cells) == width:
                words.append(cells[word])
                tags.append(cells[tag])
                numbers.append(number)
            elif line.startswith("#"):
                options.notes.add("comments are not read", f"{path}:{number}: {line[:60]}")
            else:
                raise DataError(
                    "wrong number of columns",
                    where=f"{path}:{number}",
                    got=f"{len(cells)} in {line[:60]!r}, but the file's first line has {width}",
                    do=f"correct the line (columns are separated by {NAMES[separator]})",
                )
            continue
        if words:
            yield Sentence(tuple(words), tuple(tags), str(path), tuple(numbers), document)
            words, tags, numbers = [], [], []
        if starts_document:
            document = 0 if document is None else document + 1


def _cells(line: str, separator: str, path: Path, number: int) -> list[str]:
    if separator not in ",;":
        return _split(line, separator)
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        do = "correct the line, or choose the format csv"
        what = f"cells that cannot be split ({error})"
        raise DataError(what, where=f"{path}:{number}", got=repr(line[:60]), do=do) from None


def _split(line: str, separator: str) -> list[str]:
    # Not str.split(): that would also cut at no-break spaces and other marks that may stand inside a word.
    return line.split("\t") if separator == "\t" else re.split("[ \t]+", line)


def _until_word(lines: Iterator[str]) -> Iterator[str]:
    """The lines up to the first that surely holds a word, which is the last."""
    for line in lines:
        yield line
        if _is_word(line):
            return


def _is_word(line: str) -> bool:
    return bool(line) and not line.startswith(("#", DOCUMENT))


def _layout(path: Path, head: list[str], name: str, wanted: int) -> tuple[str, int]:
    """What parts the columns, and how many there are, from the last line of `head`."""
    line = head[-1] if head else ""
    if not _is_word(line):
        raise DataError("no sentence in the file", where=str(path), do="put one word and its tag on each line")
    separator = SEPARATORS.get(name) or ("\t" if "\t" in line else " ")
    width = len(_cells(line, separator, path, len(head)))
    if width < wanted:
        raise DataError(
            "a line needs a word and a tag",
            where=f"{path}:{len(head)}",
            got=repr(line[:60]),
            do=f"separate columns by {'a tab or blanks' if name == 'auto' else NAMES[separator]} (data.separator)",
        )
    return separator, width


def write(sentences: Iterable[Sentence], path: Path) -> None:
    document: int | None = None
    sure = False  # a word's line that cannot be taken for a comment has been written
    last = None
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for sentence in with_words(sentences, path):
            rows = [f"{word}\t{tag}\n" for word, tag in _checked(sentence)]
            stream.write(f"{DOCUMENT}\tO\n\n" * marks(sentence, document))
            if last is None and rows[0].startswith("\ufeff"):
                stream.write("\n")  # as the first character of a file it would be a byte order mark
            stream.writelines([*rows, "\n"])
            document, last = sentence.document, sentence
            sure = sure or any(map(_is_word, sentence.words))
    if last is not None and not sure:
        what = f"every word begins with # or {DOCUMENT}: words and comments would be indistinguishable"
        raise DataError(what, where=last.place, do="choose another format")


def _checked(sentence: Sentence) -> Iterator[tuple[str, str]]:
    for number, (word, tag) in enumerate(zip(sentence.words, sentence.tags, strict=True)):
        where = place_of(sentence, number)
        check(word, "\t\n", "a word", where)
        check(tag, "\t\n", "a tag", where)
        if tag != tag.rstrip(BLANK):
            raise DataError("a tag followed by blanks", where=where, got=repr(tag[:60]), do="correct the tag")
        if word.partition(" ")[0] == DOCUMENT:
            what = "a word that would begin a document"
            raise DataError(what, where=where, got=repr(word[:60]), do="choose another format")
        yield word, tag
