"""JSON lines: one sentence per line, `{"tokens": ["Ann", "slept"], "tags": ["B-PER", "O"]}`.

tokens, tags  of one length
document      a number that sentences of one document share; may be left out
text, offsets the text as it was written and [start, end] of each token, in characters of it; both or neither. Offsets
              go from left to right; words that are written as one, as Spanish `del`, have the same

The whole words of a line have its number. Empty lines are skipped, sentences without words are noted; a key of
another name is an error. Columns have no meaning. A file that is one list of such objects is read too. `write` cannot
hold a sentence without words, nor document or offsets that `read` refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from fpplm_core.data.formats import Holding
from fpplm_core.data.formats._json import JsonObject, document_of, first_value, read_values, shown, write_lines
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError

HOLDS: frozenset[Holding] = frozenset({"tags", "words", "text", "documents"})
KEYS = {"tokens", "tags"}
PLACES = {"text", "offsets"}


def recognise(path: Path, head: str) -> str | None:
    row = first_value(head, path)
    if isinstance(row, dict) and all(isinstance(row.get(key), list) for key in KEYS):
        return 'objects with "tokens" and "tags"'
    return None


def read(path: Path, options: Options) -> Iterator[Sentence]:
    empty = True
    for line, row in read_values(path):
        sentence = sentence_of(row, str(path), line)
        if sentence.words:
            empty = False
            yield sentence
        else:
            options.notes.add("sentences without words are passed over", f"{path}:{line}")
    if empty:
        raise DataError(
            "no sentence in the file", where=str(path), do='put one {"tokens": [...], "tags": [...]} on each line'
        )


def sentence_of(row: Any, file: str, line: int) -> Sentence:
    """The sentence of one object. Raises DataError, naming file and line."""
    where = f"{file}:{line}"
    keys = row.keys() - {"document"} if isinstance(row, dict) else None
    if keys not in (KEYS, KEYS | PLACES):
        got = ", ".join(sorted(row))[:60] if isinstance(row, dict) else type(row).__name__
        do = "give tokens and tags, and optionally document, and text with offsets"
        raise DataError("wrong keys", where=where, got=repr(got), do=do)
    words, tags = (_texts(row[key], f"{where}: {key}") for key in ("tokens", "tags"))
    if len(words) != len(tags):
        got = f"{len(words)} tokens and {len(tags)} tags"
        raise DataError("lengths differ", where=where, got=got, do="give one tag per token")
    document = document_of(row, where)
    if keys == KEYS:
        return Sentence(words, tags, file, (line,) * len(words), document)
    (text,) = _texts([row["text"]], f"{where}: text")
    offsets = _offsets(row["offsets"], len(words), len(text), where)
    return Sentence(words, tags, file, (line,) * len(words), document, text, offsets)


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise DataError("not a list of strings", where=where, got=shown(value), do="give strings in quotes")
    return tuple(value)


def _offsets(value: Any, words: int, length: int, where: str) -> tuple[tuple[int, int], ...]:
    found = []
    for pair in value if isinstance(value, list) else [value]:
        if not isinstance(pair, list) or [type(place) for place in pair] != [int, int]:
            do = "give whole numbers, [[0, 3], [4, 9]]"
            raise DataError("not [start, end]", where=f"{where}: offsets", got=shown(pair), do=do)
        found.append((pair[0], pair[1]))
    if len(found) != words:
        got = f"{words} tokens and {len(found)} offsets"
        raise DataError("lengths differ", where=where, got=got, do="give one [start, end] per token")
    for before, after in pairwise([(0, 0), *found]):
        if not (before == after or before[1] <= after[0] <= after[1] <= length):
            got = f"{shown(list(after))} after {shown(list(before))}, in a text of {length} characters"
            raise DataError("offsets out of order", where=where, got=got, do="give them from left to right")
    return tuple(found)


def write(records: Iterable[Sentence], path: Path) -> None:
    write_lines(map(_row, records), path)


def _row(sentence: Sentence) -> JsonObject:
    if not sentence.words:
        raise DataError("a sentence without words", where=sentence.place, do="remove it")
    row: JsonObject = {"tokens": sentence.words, "tags": sentence.tags}
    if sentence.document is not None:
        row["document"] = sentence.document
        document_of(row, sentence.place)
    if sentence.text is not None and sentence.offsets is not None:
        offsets = [list(pair) for pair in sentence.offsets]
        _offsets(offsets, len(sentence.words), len(sentence.text), sentence.place)
        row |= {"text": sentence.text, "offsets": offsets}
    return row
