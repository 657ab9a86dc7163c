"""Texts in and entities out, as streams: what `fpplm predict` reads and writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from fpplm_core import formats
from fpplm_core.errors import DataError
from fpplm_core.labels import to_tags
from fpplm_core.serving import Predictor
from fpplm_core.serving.predictor import CHUNK, Text, entities
from fpplm_core.text import split_words

SUFFIXES = {".conll": "conll", ".iob2": "conll", ".bio": "conll", ".tsv": "conll", ".jsonl": "jsonl"}


def read(name: str, kind: str) -> Iterator[Text]:
    """The texts of a file, or of standard input for `-`. Raises DataError."""
    if kind == "auto":
        kind = SUFFIXES.get(Path(name).suffix.lower(), "text")
    if kind == "conll":
        yield from _read_conll(name)
    elif kind in ("text", "jsonl"):
        for number, line in enumerate(_lines(name), start=1):
            text = line.rstrip("\r\n")
            if kind == "jsonl":
                text = _text_of(text, f"{name}:{number}")
            yield Text(text, split_words(text))
    else:
        raise DataError("unknown input format", where="--format", got=repr(kind), do="use text, conll or jsonl")


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
        raise DataError("a folder stands where a file is wanted", where=name, do="name the file") from None
    except UnicodeDecodeError:
        raise DataError("not valid UTF-8", where=name, do="convert it first, with iconv for instance") from None


def _text_of(line: str, where: str) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        raise DataError("not a JSON line", where=where, got=repr(line[:60])) from None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise DataError("a JSON object with a key `text` is wanted", where=where, got=repr(line[:60]))
    return str(value["text"])


class _WordsOnly:
    """The columns of a file that is to be tagged: its first is the word, tags need not be there."""

    word_column = 0
    tag_column = 0


def _read_conll(name: str) -> Iterator[Text]:
    """Sentences as texts: their words with a blank between them."""
    for sentence in formats.get("conll").read(Path("/dev/stdin" if name == "-" else name), _WordsOnly()):
        words, place = [], 0
        for word in sentence.words:
            words.append((word, place, place + len(word)))
            place += len(word) + 1
        yield Text(" ".join(sentence.words), words, sentence.document)


def write_jsonl(predictor: Predictor, texts: Iterable[Text], stream: TextIO) -> Iterator[int]:
    """A line a text; yields the number of words of each chunk once it is written."""
    for chunk, tagged in predictor.stream(texts):
        for text, spans in zip(chunk, tagged, strict=True):
            rows = [entity._asdict() | {"score": round(entity.score, 4)} for entity in entities(text, spans)]
            stream.write(json.dumps({"text": text.text, "entities": rows}, ensure_ascii=False) + "\n")
        stream.flush()
        yield sum(len(text.words) for text in chunk)


def write_conll(predictor: Predictor, texts: Iterable[Text], stream: TextIO) -> Iterator[int]:
    """A word and its IOB2 tag a line; yields as `write_jsonl` does."""
    for chunk, tagged in predictor.stream(texts):
        for text, spans in zip(chunk, tagged, strict=True):
            tags = to_tags([span for span, _ in spans], len(text.words), "IOB2")
            rows = [f"{word}\t{tag}\n" for (word, _, _), tag in zip(text.words, tags, strict=True)]
            stream.write("".join(rows) + "\n")
        stream.flush()
        yield sum(len(text.words) for text in chunk)


def write_explained(predictor: Predictor, texts: Iterable[Text], stream: TextIO) -> Iterator[int]:
    """A line a word: the word, the tagger's label and probability, the label language model's, ≠ where they differ."""
    for text in texts:
        rows = predictor.explain([word for word, _, _ in text.words])
        for row in rows:
            mark = "≠" if row.label != row.written else ""
            cells = (row.word, row.label, f"{row.score:.2f}", row.written, f"{row.written_score:.2f}", mark)
            stream.write("\t".join(cells).rstrip("\t") + "\n")
        stream.write("\n")
        stream.flush()
        yield len(rows)


def cut_to_chunks(path: Path, kind: str) -> int:
    """Cuts what a run that was interrupted has written to whole chunks, and says how many texts these are.

    Whole chunks, because neighbours in a chunk may be context: what is written on is what one run would have written.
    """
    if not path.exists():
        return 0
    texts = kept = size = end = 0
    with path.open("r+b") as stream:
        for line in stream:
            size += len(line)
            texts += line.endswith(b"\n") if kind == "jsonl" else line == b"\n"
            if texts == kept + CHUNK:
                kept, end = texts, size
        stream.truncate(end)
    return kept
