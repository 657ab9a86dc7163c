"""The scores of tagged sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fpplm_core.data.records import Sentence
from fpplm_core.evaluation.metrics import Counts, mention
from fpplm_core.tagging.spans import Span, spans_from_tags

Spans = Sequence[Sequence[Span]]  # by sentence
Logits = Sequence[NDArray[np.float32]]  # (words, K) by sentence


@dataclass(frozen=True)
class TypeScore:
    """Scores of one type; `support` is the number of its gold spans."""

    f1: float
    precision: float
    recall: float
    support: int


@dataclass(frozen=True)
class SliceScore(TypeScore):
    """Scores of a slice of slices.yaml; `f1_low` and `f1_high` bound F1's bootstrap interval over its sentences.

    `decides` tells whether its support reaches min_support; else neither the gate nor a promotion judges it.
    """

    f1_low: float
    f1_high: float
    sentences: int
    decides: bool

    def __str__(self) -> str:
        return f"F1 {self.f1:.4f} [{self.f1_low:.4f}, {self.f1_high:.4f}] on {self.support} mentions"


@dataclass(frozen=True)
class SpanScores:
    """Scores of predicted spans against gold ones: exact match of borders and type.

    `f1`, `precision` and `recall` are micro averages, `f1_low` and `f1_high` bound F1's bootstrap interval. "Seen" are
    the mentions that the training split has. `confusion` maps gold type to predicted type to spans.
    """

    f1: float
    precision: float
    recall: float
    f1_low: float
    f1_high: float
    macro_f1: float
    token_accuracy: float
    types: dict[str, TypeScore]
    seen_f1: float
    seen_support: int
    unseen_f1: float
    unseen_support: int
    confusion: dict[str, dict[str, int]]
    sentences: int
    words: int


@dataclass(frozen=True)
class SplitScores(SpanScores):
    """Adds the scores of the tagger's logits, in [0, 1] except for the number of words without pieces.

    `illegal_paths` is the share of sentences whose best path without transition scores is illegal, `coverage` the share
    of words that a window holds. `slices` are those of slices.yaml by name, in its order.
    """

    illegal_paths: float
    calibration_error: float
    coverage: float
    words_without_pieces: int
    slices: dict[str, SliceScore] = field(default_factory=dict)  # earlier versions had none


@dataclass(frozen=True)
class Evaluation:
    """The scores of a trained tagger, as metrics/evaluate.json holds them."""

    dev: SplitScores
    test: SplitScores


def score_lines(split: str, scores: SplitScores) -> Iterator[str]:
    """The scores of a split, and those of each slice, as a stage prints them."""
    yield (
        f"{split}: trained F1 {scores.f1:.4f} [{scores.f1_low:.4f}, {scores.f1_high:.4f}], "
        f"precision {scores.precision:.4f}, recall {scores.recall:.4f}, coverage {scores.coverage:.0%}"
    )
    for name, row in scores.slices.items():
        few = "" if row.decides else ", too few to decide"
        yield f"{split}, slice {name}: {row} in {row.sentences} sentences{few}"


def worst_slice(test: SplitScores) -> list[str]:
    """A line about the slice with the lowest F1 of those that decide; none if none does."""
    judged = {name: row for name, row in test.slices.items() if row.decides}
    if not judged:
        return []
    name, row = min(judged.items(), key=lambda item: item[1].f1)
    return [f"worst of {len(judged)} slices, {name}: test {row}"]


def gold_spans(sentences: Sequence[Sentence]) -> list[list[Span]]:
    """The spans that the gold tags of each sentence hold."""
    return [spans_from_tags(sentence.tags) for sentence in sentences]


def mentions(sentences: Iterable[Sentence]) -> set[tuple[str, str]]:
    """The mentions in the gold tags of these sentences, as `metrics.seen_unseen` takes them."""
    return {mention(s.words, span) for s in sentences for span in spans_from_tags(s.tags)}


def type_score(counts: Counts) -> TypeScore:
    """F1 from precision and recall, as seqeval computes it: from the counts, its last bit may differ."""
    precision, recall = counts.precision, counts.recall
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return TypeScore(f1, precision, recall, counts.tp + counts.fn)
