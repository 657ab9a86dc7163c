"""Texts in and entities out, as streams: what `fpplm predict` reads and writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from fpplm_core import formats
from fpplm_core.alignment import joined
from fpplm_core.errors import DataError
from fpplm_core.labels import Span, to_tags
from fpplm_core.serving import Predictor
from fpplm_core.serving.predictor import CHUNK, Text, entities
from fpplm_core.text import Sentence

TEXT_SUFFIXES = {"", ".txt", ".md"}  # of files with a text a line


def read(name: str, kind: str, cut: Callable[[str], Text]) -> Iterator[Text]:
    """The texts of a file, or of standard input for `-`; `cut` finds the words of one that gives none.

    `kind` is text (a text a line), jsonl (an object with a key `text` a line), or a module of fpplm_core/formats, whose
    annotations do not matter; auto looks at the name, and then into the file. Raises DataError.
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
    kind, _ = formats.detect(Path(name))
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


def _read_format(path: Path, kind: str, cut: Callable[[str], Text]) -> Iterator[Text]:
    """Texts as their file has them; sentences without one as their words with a blank between them."""
    words_only = formats.Options(0, 0) if kind == "conll" else formats.Options()  # tags need not be there
    for record in formats.get(kind).read(path, words_only):
        if isinstance(record, Sentence):
            offsets, text = record.offsets, record.text
            if offsets is None or text is None:
                offsets, text = tuple(joined(record.words)), " ".join(record.words)
            words = [(word, *place) for word, place in zip(record.words, offsets, strict=True)]
            yield Text(text, words, record.document)
        elif record.words is not None:
            words = [(record.text[start:end], start, end) for start, end in record.words]
            yield Text(record.text, words, record.document)
        else:
            yield cut(record.text)._replace(document=record.document)


def write_jsonl(predictor: Predictor, texts: Iterable[Text], stream: TextIO) -> Iterator[int]:
    """A line a text; yields the number of words of each chunk once it is written."""
    for chunk, tagged in predictor.stream(texts):
        for text, spans in zip(chunk, tagged, strict=True):
            rows = [entity._asdict() | {"score": round(entity.score, 4)} for entity in entities(text, spans)]
            stream.write(json.dumps({"text": text.text, "entities": rows}, ensure_ascii=False) + "\n")
        stream.flush()
        yield sum(len(text.words) for text in chunk)


def write_conll(predictor: Predictor, texts: Iterable[Text], stream: TextIO) -> Iterator[int]:
    """A word and its IOB2 tag a line, or its tag alone of a tagger of words; yields as `write_jsonl` does."""
    for chunk, tagged in predictor.stream(texts):
        for text, spans in zip(chunk, tagged, strict=True):
            tags = plain_tags([span for span, _ in spans], len(text.words), predictor.labels)
            rows = [f"{word}\t{tag}\n" for (word, _, _), tag in zip(text.words, tags, strict=True)]
            stream.write("".join(rows) + "\n")
        stream.flush()
        yield sum(len(text.words) for text in chunk)


def plain_tags(spans: Sequence[Span], length: int, labels: Sequence[str]) -> list[str]:
    """IOB2 tags; of a tagger whose labels are a tag a word (parts of speech), these as they were in the data."""
    if tags_words(labels):
        return [tag.removeprefix("S-") for tag in to_tags(spans, length, "TAGS")]
    return to_tags(spans, length, "IOB2")


def tags_words(labels: Sequence[str]) -> bool:
    """Whether a tagger of these labels gives a tag a word, and no entities."""
    return all(label == "O" or label.startswith("S-") for label in labels)


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
