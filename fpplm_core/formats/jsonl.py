"""JSON lines: a sentence a line, `{"tokens": ["Ann", "slept"], "tags": ["B-PER", "O"], "document": 0}`.

`document`, a number that sentences of one document share, may be left out. The whole words of a line have its number.
Empty lines and sentences without words are passed over; a key of another name is an error. Columns have no meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from fpplm_core.errors import DataError
from fpplm_core.formats import Options
from fpplm_core.text import Sentence, read_lines

KEYS = {"tokens", "tags"}
LARGEST = 2**31 - 1  # document that the corpus has room for


def read(path: Path, columns: Options) -> Iterator[Sentence]:
    empty = True
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip(" \t\r"):
            continue
        words, tags, document = _row(line, f"{path}:{number}")
        if words:
            empty = False
            yield Sentence(tuple(words), tuple(tags), str(path), (number,) * len(words), document)
    if empty:
        raise DataError("no sentence in the file", where=str(path), do='give {"tokens": [...], "tags": [...]} a line')


def _row(line: str, where: str) -> tuple[list[str], list[str], int | None]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not valid JSON ({error})", where=where, got=repr(line[:60]), do="mend the line") from None
    if not isinstance(row, dict) or row.keys() - {"document"} != KEYS:
        got = ", ".join(sorted(row))[:60] if isinstance(row, dict) else type(row).__name__
        raise DataError("wrong keys", where=where, got=repr(got), do="give tokens, tags and, if you like, document")
    words, tags = (_texts(row[key], f"{where}: {key}") for key in ("tokens", "tags"))
    if len(words) != len(tags):
        got = f"{len(words)} tokens and {len(tags)} tags"
        raise DataError("lengths differ", where=where, got=got, do="give one tag a token")
    document = row.get("document")
    if "document" in row and (type(document) is not int or not 0 <= document <= LARGEST):  # true is an int
        do = f"give a whole number from 0 to {LARGEST}, or leave it out"
        raise DataError("no number of a document", where=where, got=repr(document)[:60], do=do)
    return words, tags, document


def _texts(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise DataError("not a list of strings", where=where, got=repr(value)[:60], do="give strings in quotes")
    try:
        "".join(value).encode()
    except UnicodeEncodeError:
        raise DataError("half of a surrogate pair, which is no character", where=where, do="mend the line") from None
    return value


def write(sentences: Iterable[Sentence], stream: TextIO) -> None:
    for sentence in sentences:
        row: dict[str, Any] = {"tokens": sentence.words, "tags": sentence.tags}
        if sentence.document is not None:
            row["document"] = sentence.document
        stream.write(json.dumps(row, ensure_ascii=False) + "\n")
