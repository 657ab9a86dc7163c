"""Data formats, one module each. The folder is the registry: each module in it is the format of that name.

A format that holds one tag per word ("tags" in its HOLDS) reads and writes `Sentence`; a format that holds mentions
over characters reads and writes `AnnotatedText`. `read_sentences` and fpplm_core/data/conversion.py convert them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, cast

from fpplm_core.data.alignment import to_sentence
from fpplm_core.data.formats._foreign import refuse_foreign
from fpplm_core.data.formats._json import first_value
from fpplm_core.data.options import Options, format_names
from fpplm_core.data.records import AnnotatedText, Sentence, check_lengths
from fpplm_core.data.text_files import cr_ends, has_cr_ends, require_source, unreadable
from fpplm_core.errors import DataError, ParamsError, shown

Holding = Literal["tags", "words", "text", "documents", "overlaps"]
Record = TypeVar("Record", Sentence, AnnotatedText)
Read = Callable[[Path, Options], Iterator[Record]]
# Formats by suffix, for files whose content does not reveal the format and for files to be written.
SUFFIXES = {
    ".conll": "conll",
    ".bio": "conll",
    ".tsv": "conll",
    ".conllu": "conllu",
    ".iob2": "iob2",
    ".jsonl": "jsonl",
    ".spacy": "docbin",
    ".csv": "csv",
    ".parquet": "hugging_face",
    "": "brat",  # a folder
}
ROWS = ("conll", "conllu", "iob2", "csv")  # formats with one word per line
MARKUP = re.compile(r'\s*(?:\{\s*"|\[\s*["\[{]|<[?!])')  # the beginning of JSON or XML
POINTER = ".dataset.yaml"  # suffix of a file that names a dataset on the hub
SHOWN = 10  # refused texts shown in an error
HEAD = 65536  # bytes at the beginning of a file that are used to detect its format


class Format(Protocol):
    HOLDS: frozenset[Holding]
    """What a file of this format can hold: "tags" (one per word, of any scheme) or else mentions over characters;
    "words" (where words begin and end), "text" (the text as it was written), "documents", "overlaps" (of mentions)."""

    def recognise(self, path: Path, head: str) -> str | None:
        """Why `path` appears to be of this format, as a phrase for the user; None if it does not.

        `head` is the first HEAD bytes as text, "" for a folder. It never raises.
        """
        ...

    def read(self, path: Path, options: Options) -> Iterator[Any]:
        """Streams Sentence or AnnotatedText in file order. Raises DataError naming the file and line."""
        ...

    def write(self, records: Iterable[Any], path: Path) -> None:
        """Writes a stream of records; the inverse of `read` with default options.

        Raises DataError naming the place of a record that the format cannot hold.
        """
        ...


def not_empty(kind: str, *, do: str) -> Callable[[Read[Record]], Read[Record]]:
    """Makes a `read` raise DataError if it yields nothing: "no {kind} in the file", with the advice `do`."""

    def checked(read: Read[Record]) -> Read[Record]:
        @wraps(read)
        def read_checked(path: Path, options: Options) -> Iterator[Record]:
            empty = True
            for record in read(path, options):
                empty = False
                yield record
            if empty:
                raise DataError(f"no {kind} in the file", where=str(path), do=do)

        return read_checked

    return checked


def get(name: str) -> Format:
    """The format of this name. Raises ParamsError if there is none."""
    if name not in format_names():
        raise ParamsError(
            "unknown format", where="data.format", got=repr(name), do=f"use one of {', '.join(format_names())}"
        )
    return cast(Format, importlib.import_module(f"{__name__}.{name}"))


def detect(path: Path) -> tuple[str, str]:
    """The format of a file or folder, detected from its content or else its name, and the reason.

    Raises DataError if no format fits, or several do.
    """
    require_source(path)
    head = _head(path)
    refuse_foreign(path, head)
    found = {name: reason for name in format_names() if (reason := get(name).recognise(path, head))}
    name = SUFFIXES.get(path.suffix) if path.suffix and path.is_file() else None
    if not found and "\n" not in head and "\0" not in head and has_cr_ends(head):
        raise cr_ends(str(path))
    row = first_value(head, path) if not found and path.is_file() else None
    if not found and name and _may_be(name, head, row):
        return name, f"the name ends in {path.suffix}"  # whose reader refuses what it cannot be sure of
    if not found and path.is_dir():
        what, do = "a folder without .ann files or a saved dataset", "name a file, or the format (data.format)"
        raise DataError(what, where=str(path), do=do)
    if len(found) != 1:
        what = "several formats fit" if found else "unknown format"
        got = "; ".join(f"{name}: {reason}" for name, reason in found.items()) or repr(head[:60])
        do = f"name the format (data.format): {', '.join(format_names())}"
        if isinstance(row, dict):
            got = f"the keys {shown(list(row))}"
            if row.keys() & {"text", "entities"}:
                do += "; jsonl_spans needs a text, and entities with start, end, label"
        raise DataError(what, where=str(path), got=got, do=do)
    return next(iter(found.items()))


def _may_be(name: str, head: str, row: Any) -> bool:
    """Whether a file of the suffix of this format may be of it, by its head and the first JSON value in it."""
    if name == "jsonl" and row is not None:
        values = row.values() if isinstance(row, dict) else ()
        return any(isinstance(value, list) and value and isinstance(value[0], str) for value in values)
    return not (name in ROWS and MARKUP.match(head))


def _head(path: Path) -> str:
    try:
        if path.is_dir():
            return ""
        with path.open("rb") as stream:
            return stream.read(HEAD).decode("utf-8-sig", "replace")
    except OSError as error:
        raise unreadable(path, error) from None


def read_sentences(path: Path, name: str, options: Options) -> Iterator[Sentence]:
    """The sentences of a file in the format of this name; with auto, detects the format and notes it.

    Raises DataError; for refused mentions, one error at the end names them all.
    """
    require_source(path)
    if name == "auto":
        name, reason = detect(path)
        options.notes.add(f"read as {name} ({reason})", str(path))
    module = get(name)
    records = module.read(path, options)
    return _bounded(records if "tags" in module.HOLDS else _aligned(records, path, options))


def _bounded(sentences: Iterable[Sentence]) -> Iterator[Sentence]:
    for sentence in sentences:
        check_lengths(sentence)
        yield sentence


def _aligned(records: Iterable[AnnotatedText], path: Path, options: Options) -> Iterator[Sentence]:
    refused: list[str] = []
    for record in records:
        try:
            sentence = to_sentence(record, options)
        except DataError as error:
            refused.append(str(error))
            continue
        if sentence.words:
            yield sentence
        else:
            options.notes.add("texts without a word are passed over", record.place)
    if refused:
        shown = " | ".join(refused[:SHOWN]) + (" | …" if len(refused) > SHOWN else "")
        raise DataError(f"refused annotations in {len(refused)} text(s)", where=str(path), got=shown)
