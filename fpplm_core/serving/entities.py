"""The inputs and outputs of tagging: texts with words, entities over characters, and explanations of words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fpplm_core.tagging.spans import Span

CHUNK = 1024  # most texts that are sorted by length and tagged together
CHUNK_CHARACTERS = 500_000  # a chunk ends with the text that reaches this length, so that memory stays bounded


class SegmentedText(NamedTuple):
    """A text and its words as (word, start, end), in characters of the text.

    A tagger trained with context sees the neighbouring texts of the same `document`; with None there are none.
    """

    text: str
    words: list[tuple[str, int, int]]
    document: int | None = None


def chunks_of(texts: Iterable[SegmentedText]) -> Iterator[list[SegmentedText]]:
    """The texts in chunks that are tagged together. Where a chunk begins depends on the texts before it alone."""
    chunk: list[SegmentedText] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text.text)
        if len(chunk) == CHUNK or size >= CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


class Entity(NamedTuple):
    """An entity: the tagged text from `start` to `end` is `text`; `score` is its words' mean probability, in [0, 1]."""

    text: str
    label: str
    start: int
    end: int
    score: float


class WordExplanation(NamedTuple):
    """A word with the labels of the tagger and of the label language model, and their probabilities."""

    word: str
    label: str
    score: float
    written: str
    written_score: float


def entities_of(text: SegmentedText, spans: Iterable[tuple[Span, float]]) -> list[Entity]:
    """Entities over the characters of a text, from scored spans over its words."""
    entities = []
    for span, score in spans:
        start, end = text.words[span.start][1], text.words[span.end - 1][2]
        entities.append(Entity(text.text[start:end], span.type, start, end, score))
    return entities
