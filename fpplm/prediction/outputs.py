"""Entities, as a stream, as JSON lines or columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from fpplm_core.serving import Predictor
from fpplm_core.serving.entities import SegmentedText, entities_of
from fpplm_core.serving.predictor import CHUNK
from fpplm_core.tagging.spans import Span, tags_from_spans


def write_jsonl(predictor: Predictor, texts: Iterable[SegmentedText], stream: TextIO) -> Iterator[int]:
    """A line a text; yields the number of words of each chunk once it is written."""
    for chunk, tagged in predictor.stream(texts):
        for text, spans in zip(chunk, tagged, strict=True):
            rows = [entity._asdict() | {"score": round(entity.score, 4)} for entity in entities_of(text, spans)]
            stream.write(json.dumps({"text": text.text, "entities": rows}, ensure_ascii=False) + "\n")
        stream.flush()
        yield sum(len(text.words) for text in chunk)


def write_conll(predictor: Predictor, texts: Iterable[SegmentedText], stream: TextIO) -> Iterator[int]:
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
        return [tag.removeprefix("S-") for tag in tags_from_spans(spans, length, "TAGS")]
    return tags_from_spans(spans, length, "IOB2")


def tags_words(labels: Sequence[str]) -> bool:
    """Whether a tagger of these labels gives a tag a word, and no entities."""
    return all(label == "O" or label.startswith("S-") for label in labels)


def write_explained(predictor: Predictor, texts: Iterable[SegmentedText], stream: TextIO) -> Iterator[int]:
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
