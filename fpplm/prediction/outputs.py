"""Writes a stream of entities as JSON lines or columns."""

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
    """Writes one line per text; yields the number of words of each chunk once it is written."""
    for chunk, tagged in predictor.stream(texts):
        for text, spans in zip(chunk, tagged, strict=True):
            rows = [entity._asdict() | {"score": round(entity.score, 4)} for entity in entities_of(text, spans)]
            stream.write(json.dumps({"text": text.text, "entities": rows}, ensure_ascii=False) + "\n")
        stream.flush()
        yield sum(len(text.words) for text in chunk)


def write_conll(predictor: Predictor, texts: Iterable[SegmentedText], stream: TextIO) -> Iterator[int]:
    """Writes one word and its tag per line: IOB2, or the plain tag of a word tagger. Yields as `write_jsonl` does."""
    for chunk, tagged in predictor.stream(texts):
        for text, spans in zip(chunk, tagged, strict=True):
            tags = plain_tags([span for span, _ in spans], len(text.words), predictor.labels)
            rows = [f"{word}\t{tag}\n" for (word, _, _), tag in zip(text.words, tags, strict=True)]
            stream.write("".join(rows) + "\n")
        stream.flush()
        yield sum(len(text.words) for text in chunk)


def plain_tags(spans: Sequence[Span], length: int, labels: Sequence[str]) -> list[str]:
    """IOB2 tags, or for a word tagger (such as one of parts of speech) its tags as they were in the data."""
    if tags_words(labels):
        return [tag.removeprefix("S-") for tag in tags_from_spans(spans, length, "TAGS")]
    return tags_from_spans(spans, length, "IOB2")


def tags_words(labels: Sequence[str]) -> bool:
    """Whether a tagger with these labels tags every word instead of finding entities."""
    return all(label == "O" or label.startswith("S-") for label in labels)


def write_explained(predictor: Predictor, texts: Iterable[SegmentedText], stream: TextIO) -> Iterator[int]:
    """Writes one line per word: labels and probabilities of tagger and label language model, ≠ if the labels differ."""
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
    """Truncates the output of an interrupted run to whole chunks, and returns how many texts these are.

    Neighbours in a chunk may be context, so only whole chunks make the result equal to that of a single run.
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
