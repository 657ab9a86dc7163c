"""Shared by CoNLL-U and Universal NER: sentences of numbered rows below comments, and the text in a comment.

A row's first cell is the number of a word, from 1 in each sentence. A range, such as `1-2`, is the form that the text
has for several words; `1.1` is an empty node, which is not a word. A comment `# text = ...` has the sentence's text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

from fpplm_core.data.formats._columns import check
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.data.text_files import read_lines, refuse_cr_rows
from fpplm_core.errors import DataError
from fpplm_core.tagging.schemes import OUTSIDE
from fpplm_core.tagging.words import is_edge

NEWDOC = re.compile(r"#[ \t]*newdoc(?:[ \t]|$)")
_TEXT = re.compile(r"#[ \t]*text[ \t]*= ?(.*)", re.DOTALL)
NO_TAG = ("", "_", "-", "*", "O")  # cells that mean no tag
_ID = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})|\.([0-9]{1,9}))?")
Offsets = tuple[tuple[int, int], ...]


class Row(NamedTuple):
    line: int  # 1-based
    cells: list[str]


class Block(NamedTuple):
    """The lines up to an empty one: comments, each with its 1-based line, and rows; either may be none."""

    comments: list[tuple[int, str]]
    rows: list[Row]


class Token(NamedTuple):
    """A form in the text, for one word or, in a range, for several."""

    form: str
    words: int = 1
    joined: bool = False  # the next one follows without white space


class Parts(NamedTuple):
    words: list[Row]
    tokens: list[tuple[Row, int]]  # a word's or range's row, with the number of its words
    others: list[Row]  # ranges and empty nodes


def blocks(path: Path, widths: range) -> Iterator[Block]:
    """The blocks of a file, cells separated by tabs. Raises DataError if a row's width is not in `widths`."""
    comments: list[tuple[int, str]] = []
    rows: list[Row] = []
    empty = True
    for number, raw in enumerate(chain(read_lines(path), [""]), start=1):
        line = raw.removesuffix("\r")
        if line.startswith("#"):
            comments.append((number, line))
        elif line.strip(" \t\r"):
            cells = line.split("\t")
            if empty and not rows:
                refuse_cr_rows(line, lambda row: len(row.split("\t")), f"{path}:{number}")
            if len(cells) not in widths:
                got, do = f"{len(cells)} in {line[:60]!r}", f"give {widths[0]} to {widths[-1]}, separated by tabs"
                raise DataError("wrong number of columns", where=f"{path}:{number}", got=got, do=do)
            rows.append(Row(number, cells))
        elif comments or rows:
            empty = empty and not rows
            yield Block(comments, rows)
            comments, rows = [], []
    if empty:
        raise DataError("no sentence in the file", where=str(path), do="put one word and its columns on each line")


def is_row(cells: Sequence[str]) -> bool:
    return _ID.fullmatch(cells[0]) is not None


def parts(rows: list[Row], path: Path) -> Parts:
    """Separates words, ranges and empty nodes. Raises DataError if the words are not numbered 1, 2, 3, …"""
    found = Parts([], [], [])
    words, end = found.words, 0  # end: the last word of the range before
    for row in rows:
        where, got = f"{path}:{row.line}", repr(row.cells[0][:60])
        match = _ID.fullmatch(row.cells[0])
        if match is None:
            raise DataError("not a word number", where=where, got=got, do="give 1, 2, … or a range as 1-2")
        first, last, inner = match.groups()
        if inner is not None:
            found.others.append(row)
            continue
        if int(first) != len(words) + 1 or (last and (int(last) < int(first) or len(words) < end)):
            do = f"the next word is {len(words) + 1}; an empty line ends a sentence"
            raise DataError("words out of order", where=where, got=got, do=do)
        if last:
            end = int(last)
            found.tokens.append((row, end - len(words)))
            found.others.append(row)
        else:
            words.append(row)
            if len(words) > end:
                found.tokens.append((row, 1))
    if not words or len(words) < end:
        what = "a range extends beyond its sentence" if words else "a sentence without words"
        raise DataError(what, where=f"{path}:{rows[-1].line}", do="correct the numbers in the first column")
    return found


def sentence_of(
    block: Block,
    path: Path,
    options: Options,
    form: int,
    tag_of: Callable[[Row], str],
    document: int | None = None,
    joined: Callable[[Row], bool] = lambda row: False,
) -> Sentence:
    """The sentence of a block with rows, the words being in the column `form`. Raises DataError.

    `joined` says whether what stands after a row's form in the text is no white space. Tags of ranges and empty nodes,
    and texts of no use, are noted. With `words_only` no tag is looked at.
    """
    words, rows, others = parts(block.rows, path)
    if options.words_only:
        tag_of = _outside
    for row in words + others:
        if not row.cells[form]:
            raise DataError("an empty word", where=f"{path}:{row.line}", do="correct the line, or remove it")
    for row in others:
        if tag_of(row) not in NO_TAG:
            options.notes.add("tags of multiword ranges and empty nodes are not read", f"{path}:{row.line}")
    tokens = [Token(row.cells[form], number, joined(row)) for row, number in rows]
    texts = [match[1] for _, line in block.comments if (match := _TEXT.fullmatch(line))]
    if not texts and any(token.joined for token in tokens):
        texts = ["".join(token.form + " " * (not token.joined) for token in tokens[:-1]) + tokens[-1].form]
    offsets = offsets_in(texts[0], tokens) if len(texts) == 1 else None
    if texts and offsets is None:
        options.notes.add("text comments that do not agree with the words are not used", f"{path}:{words[0].line}")
    return Sentence(
        tuple(row.cells[form] for row in words),
        tuple(map(tag_of, words)),
        str(path),
        tuple(row.line for row in words),
        document,
        None if offsets is None else texts[0],
        offsets,
    )


def _outside(row: Row) -> str:
    return OUTSIDE


def offsets_in(text: str, tokens: Sequence[Token]) -> Offsets | None:
    """(start, end) of each word, those of a range having the range's; None if the text is not that of the tokens.

    It is where it has the tokens in order and nothing else but white space and invisible characters.
    """
    place = 0
    found: list[tuple[int, int]] = []
    for token in tokens:
        while text[place : place + 1].isspace():
            place += 1
        while place < len(text) and is_edge(text[place]) and not text.startswith(token.form, place):
            place += 1
        if not text.startswith(token.form, place):
            return None
        found += [(place, place + len(token.form))] * token.words
        place += len(token.form)
    return tuple(found) if all(map(is_edge, text[place:])) else None


def numbered(sentence: Sentence) -> Iterator[tuple[str, Token, int | None]]:
    """The rows of a sentence: what stands in the first cell, the token, and which word it is, None for a range."""
    word = 0
    for token in _tokens(sentence):
        words = range(word, word + token.words)
        if token.words > 1 or token.form != sentence.words[word]:
            yield f"{word + 1}-{word + token.words}", token, None
            for index in words:
                yield f"{index + 1}", Token(sentence.words[index]), index
        else:
            yield f"{word + 1}", token, word
        word = words.stop


def _tokens(sentence: Sentence) -> list[Token]:
    """The tokens in the text. Raises DataError if they do not cover it."""
    text = sentence.text
    if text is None:
        return [Token(word) for word in sentence.words]
    # Neighbours at one place are the words of a range.
    groups = [(start, end, len(list(same))) for (start, end), same in groupby(sentence.offsets or ())]
    following = [start for start, _, _ in groups[1:]] + [-1]
    tokens = [
        Token(text[start:end], number, end == after)
        for (start, end, number), after in zip(groups, following, strict=False)
    ]
    if offsets_in(text, tokens) != sentence.offsets:
        what = "the text has more than words and white space, or words out of order"
        raise DataError(what, where=sentence.place, got=repr(text[:60]), do="choose another format")
    return tokens


def text_comment(sentence: Sentence) -> str:
    """The comment line with the text; "" if there is none. Raises DataError if a line cannot hold it."""
    if sentence.text is None:
        return ""
    text = check(sentence.text, "\n", "a text", sentence.place)
    if text.endswith("\r"):
        do = "choose another format"
        raise DataError("a text with a line end", where=sentence.place, got=repr(text[-60:]), do=do)
    return f"# text = {text}\n"
