"""One text with its entities as a record of the output: a JSON line, or lines of columns up to an empty one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Literal

from fpplm.prediction.formats import Placed
from fpplm_core.data.formats.conll import DOCUMENT
from fpplm_core.errors import DataError
from fpplm_core.serving.entities import SegmentedText, entities_of
from fpplm_core.tagging.spans import Span, tags_from_spans

Kind = Literal["jsonl", "conll"]
ScoredSpans = Sequence[tuple[Span, float]]


def record_of(text: SegmentedText, spans: ScoredSpans, kind: Kind, labels: Sequence[str]) -> str:
    """The record of a text: an object with text and entities, or a word and its IOB2 tag per line.

    A word tagger, such as one of parts of speech, writes the tags of its data instead.
    """
    if kind == "jsonl":
        return json.dumps({"text": text.text, "entities": rows_of_entities(text, spans)}, ensure_ascii=False) + "\n"
    tags = plain_tags([span for span, _ in spans], len(text.words), labels)
    return "".join(f"{word}\t{tag}\n" for (word, _, _), tag in zip(text.words, tags, strict=True)) + "\n"


def rows_of_entities(text: SegmentedText, spans: ScoredSpans) -> list[dict[str, Any]]:
    """The entities of a text as they are written, with scores of four decimals."""
    return [entity._asdict() | {"score": round(entity.score, 4)} for entity in entities_of(text, spans)]


def plain_tags(spans: Sequence[Span], length: int, labels: Sequence[str]) -> list[str]:
    """IOB2 tags, or for a word tagger (such as one of parts of speech) its tags as they were in the data."""
    if tags_words(labels):
        return [tag.removeprefix("S-") for tag in tags_from_spans(spans, length, "TAGS")]
    return tags_from_spans(spans, length, "IOB2")


def tags_words(labels: Sequence[str]) -> bool:
    """Whether a tagger with these labels tags every word instead of finding entities."""
    return all(label == "O" or label.startswith("S-") for label in labels)


def without_unwritable(found: Iterable[Placed], kind: Kind) -> Iterator[Placed]:
    """The same texts, but for an error in place of a text with a word that columns cannot hold."""
    for place, item in found:
        bad = None
        if kind == "conll" and isinstance(item, SegmentedText):
            bad = next((word for word, _, _ in item.words if _is_unwritable(word)), None)
        if bad is None:
            yield place, item
        else:
            do = "correct it, or write JSON lines (--to jsonl)"
            yield place, DataError("a word that columns cannot hold", where=place, got=repr(bad[:60]), do=do)


def _is_unwritable(word: str) -> bool:
    return "\t" in word or "\n" in word or word.partition(" ")[0] == DOCUMENT


def records_in(stream: BinaryIO, kind: Kind) -> Iterator[bytes]:
    """The complete records of an output; what an interruption cut off in the middle is left out."""
    held = []
    for line in stream:
        if not line.endswith(b"\n"):
            return
        held.append(line)
        if kind == "jsonl" or line == b"\n":
            yield b"".join(held)
            held = []


def is_record_of(record: bytes, text: SegmentedText, kind: Kind) -> bool:
    """Whether a record has this text, or these words."""
    try:
        if kind == "jsonl":
            return bool(json.loads(record)["text"] == text.text)
        rows = record.decode("utf-8").split("\n")[:-2]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return [row.rpartition("\t")[0] for row in rows] == [word for word, _, _ in text.words]


def begins(beginning: bytes, text: SegmentedText, kind: Kind) -> bool:
    """Whether an interrupted record, of which only the beginning is there, may have this text, or these words."""
    found = beginning.decode("utf-8", "ignore")  # it may end inside a character
    if kind == "jsonl":
        wanted = json.dumps({"text": text.text}, ensure_ascii=False)[:-1]
        return found.startswith(wanted[: len(found)])
    rows = zip(found.split("\n"), [f"{word}\t" for word, _, _ in text.words] + ["\n"], strict=False)
    return all(row.startswith(word[: len(row)]) for row, word in rows)


def is_same_tagging(record: bytes, wanted: str, kind: Kind) -> bool:
    """Whether two records of one text have the same entities; scores may differ in their last digit by the machine."""
    if kind == "conll":
        return record.decode("utf-8") == wanted
    try:
        rows = [[{**entity, "score": None} for entity in json.loads(line)["entities"]] for line in (record, wanted)]
    except (KeyError, TypeError):  # a record of another program
        return False
    return rows[0] == rows[1]
