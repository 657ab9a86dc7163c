"""Rates texts by the errors that the tagger probably makes in them, and keeps the most uncertain ones.

The tagger's own probabilities tell how many errors to expect. A span of score s is wrong with probability 1 - s, and a
word outside all spans belongs to a missed one with the probability that its label is not O. The sum of both grows with
the length of a text, and so does the work of annotating it; the mean prefers the shortest texts. Uncertainty is between
the two: the sum divided by the square root of the number of words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fpplm_core.data.notes import Notes
from fpplm_core.data.overlap import HeldOut, distinct
from fpplm_core.data.records import Sentence
from fpplm_core.serving import Predictor
from fpplm_core.serving.entities import SegmentedText, chunks_of
from fpplm_core.tagging.spans import Span
from fpplm_core.tagging.viterbi import softmax
from fpplm_core.tagging.words import is_invisible

LONGEST = 10_000  # characters: longer texts are whole documents, which nobody annotates in one task
POOL = 10  # candidates that are kept for each text to choose; twice as many are in memory

Doubts = dict[tuple[str, str], float]  # ("word", its lower case) or ("type", its name) to the errors expected there
ScoredSpans = list[tuple[Span, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A tagged text. `score` is the probability of its least certain span or O, in [0, 1]; the `doubts` of its words,
    and those of its types, add up to its `uncertainty`."""

    text: SegmentedText
    spans: ScoredSpans
    score: float
    uncertainty: float
    doubts: Doubts


def rate(text: SegmentedText, spans: ScoredSpans, logits: NDArray[np.float32], labels: Sequence[str]) -> Candidate:
    """A text of one word or more, with the errors to expect in it. *Shape:* logits (words, K); `labels` K, O first."""
    chances = softmax(logits)
    wrong = 1.0 - chances[:, 0].astype(float)  # as labels of a word outside all spans
    kinds = [labels[label][2:] for label in (chances[:, 1:].argmax(axis=1) + 1).tolist()]
    outside = np.ones(len(wrong), dtype=bool)
    for span, score in spans:
        words = slice(span.start, span.end)
        wrong[words] = (1.0 - score) / (span.end - span.start)
        kinds[words] = [span.type] * (span.end - span.start)
        outside[words] = False
    worst = max([*(1.0 - score for _, score in spans), *wrong[outside].tolist()])
    scale = len(wrong) ** -0.5
    doubts: Doubts = defaultdict(float)
    for (word, _, _), kind, doubt in zip(text.words, kinds, wrong.tolist(), strict=True):
        doubts["word", word.lower()] += doubt * scale
        doubts["type", kind] += doubt * scale
    return Candidate(text, spans, 1.0 - worst, float(wrong.sum()) * scale, dict(doubts))


class Pool:
    """The most uncertain texts so far, none like another: at most twice `size` are in memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: list[Candidate] = []
        self._least = -1.0  # no text of less uncertainty can be among the most uncertain ones

    def add(self, candidate: Candidate) -> None:
        if candidate.uncertainty > self._least:
            self._kept.append(candidate)
            if len(self._kept) >= 2 * self.size:
                self._kept = self.best()
                self._least = self._kept[-1].uncertainty if len(self._kept) == self.size else -1.0

    def best(self) -> list[Candidate]:
        """At most `size` candidates, the most uncertain first; of those that are alike, the most uncertain one."""
        ordered = sorted(self._kept, key=lambda candidate: -candidate.uncertainty)
        places = distinct([sentence_of(candidate.text) for candidate in ordered])
        return [ordered[place] for place in places[: self.size]]


def fill(
    pool: Pool, predictor: Predictor, texts: Iterable[SegmentedText], annotated: HeldOut, notes: Notes
) -> Iterator[int]:
    """Tags texts as `fpplm predict` does, and adds them to the pool; yields the number of words of each chunk.

    Left out, and counted in `notes`, are texts without words, too long ones, and those that are annotated already.
    """
    for chunk in chunks_of(texts):
        logits = predictor.logits([[word for word, _, _ in text.words] for text in chunk], [t.document for t in chunk])
        tagged = predictor.decoder.scored_spans(logits)
        known = annotated.find(sentence_of(text) for text in chunk if len(text.text) <= LONGEST)
        for text, spans, values in zip(chunk, tagged, logits, strict=True):
            too_long = len(text.text) > LONGEST
            same = None if too_long else next(known)[1]
            place = repr(text.text[:40])
            if all(is_invisible(word) for word, _, _ in text.words):
                notes.add("texts without a word are left out", place)
            elif too_long:
                notes.add(f"texts of more than {LONGEST:,} characters are left out; split them", place)
            elif same is not None:
                notes.add("texts like annotated ones are left out", place)
            else:
                pool.add(rate(text, spans, values, predictor.labels))
        yield sum(len(text.words) for text in chunk)


def sentence_of(text: SegmentedText) -> Sentence:
    """The words of a text as a sentence without mentions."""
    return Sentence(tuple(word for word, _, _ in text.words), ("O",) * len(text.words), "", ())
