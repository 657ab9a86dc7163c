"""Streams texts from files of any kind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from fpplm_core.data.alignment import places_of_joined
from fpplm_core.data.formats import detect, get
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError
from fpplm_core.serving.entities import SegmentedText

TEXT_SUFFIXES = {"", ".txt", ".md"}  # of files with one text per line


def read(name: str, kind: str, cut: Callable[[str], SegmentedText]) -> Iterator[SegmentedText]:
    """The texts of a file, or of standard input for `-`; `cut` segments texts that come without words.

    `kind` is text (one text per line), jsonl (one object with a key `text` per line), or a format of
    fpplm_core/data/formats, whose annotations are ignored; auto looks at the name, then at the content.
    Raises DataError.
    """
    if kind == "auto":
        kind = _told(name)
    if kind in ("text", "jsonl"):
        for number, line in enumerate(_lines(name), start=1):
            text = line.rstrip("\r\n")
            yield cut(_text_of(text, f"{name}:{number}") if kind == "jsonl" else text)
    else:
        yield from _read_format(Path("/dev/stdin" if name == "-" else name), kind, cut)


def _told(name: str) -> str:
    suffix = Path(name).suffix.lower()
    if name == "-" or (suffix in TEXT_SUFFIXES and not Path(name).is_dir()):
        return "text"
    if suffix == ".jsonl":
        return "jsonl"
    if suffix in (".conll", ".bio", ".tsv"):
        return "conll"
    kind, _ = detect(Path(name))
    return kind


def _lines(name: str) -> Iterator[str]:
    if name == "-":
        yield from sys.stdin
        return
    try:
        with Path(name).open(encoding="utf-8-sig", newline="\n") as stream:
            yield from stream
    except FileNotFoundError:
        raise DataError("no such file", where=name) from None
    except IsADirectoryError:
        raise DataError("a folder, expected a file", where=name, do="name the file") from None
    except UnicodeDecodeError:
        raise DataError("not valid UTF-8", where=name, do="convert it first, for instance with iconv") from None


def _text_of(line: str, where: str) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        raise DataError("not a JSON line", where=where, got=repr(line[:60])) from None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise DataError("expected a JSON object with a key `text`", where=where, got=repr(line[:60]))
    return str(value["text"])


def _read_format(path: Path, kind: str, cut: Callable[[str], SegmentedText]) -> Iterator[SegmentedText]:
    """Texts as their file has them; sentences without a text as their words joined by blanks."""
    words_only = Options(words_only=True)  # tags may be missing
    for record in get(kind).read(path, words_only):
        if isinstance(record, Sentence):
            offsets, text = record.offsets, record.text
            if offsets is None or text is None:
                offsets, text = tuple(places_of_joined(record.words)), " ".join(record.words)
            words = [(word, *place) for word, place in zip(record.words, offsets, strict=True)]
            yield SegmentedText(text, words, record.document)
        elif record.words is not None:
            words = [(record.text[start:end], start, end) for start, end in record.words]
            yield SegmentedText(record.text, words, record.document)
        else:
            yield cut(record.text)._replace(document=record.document)
