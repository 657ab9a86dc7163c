"""All scores of tagged sentences. The pipeline compares F1 with the official one, seqeval's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fpplm_core.data.records import Sentence
from fpplm_core.errors import FpplmError
from fpplm_core.evaluation.metrics import (
    Counts,
    bootstrap_f1,
    calibration_error,
    confusion,
    mention,
    seen_unseen,
    span_counts,
    sum_counts,
    token_accuracy,
)
from fpplm_core.tagging.schemes import INNER_SCHEME, legal
from fpplm_core.tagging.spans import Span, spans_from_tags, tags_from_spans
from fpplm_core.tagging.viterbi import softmax

RESAMPLES = 1000  # of the sentences, for the interval of F1
CONFIDENCE = 0.95  # of that interval

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
    of words that a window holds.
    """

    illegal_paths: float
    calibration_error: float
    coverage: float
    words_without_pieces: int


@dataclass(frozen=True)
class Evaluation:
    """The scores of a trained tagger, as metrics/evaluate.json holds them."""

    dev: SplitScores
    test: SplitScores


def gold_spans(sentences: Sequence[Sentence]) -> list[list[Span]]:
    """The spans that the gold tags of each sentence hold."""
    return [spans_from_tags(sentence.tags) for sentence in sentences]


def mentions(sentences: Sequence[Sentence]) -> set[tuple[str, str]]:
    """The mentions in the gold tags of these sentences, as `metrics.seen_unseen` takes them."""
    gold = zip(sentences, gold_spans(sentences), strict=True)
    return {mention(sentence.words, span) for sentence, spans in gold for span in spans}


def score_spans(
    sentences: Sequence[Sentence],
    gold: Spans,
    predicted: Spans,
    seen: set[tuple[str, str]],
    resamples: int = RESAMPLES,
) -> SpanScores:
    """The scores of predicted spans, to the bit those of seqeval in strict mode."""
    lengths = [len(s.words) for s in sentences]
    tags = [[tags_from_spans(s, n, "IOB2") for s, n in zip(part, lengths, strict=True)] for part in (gold, predicted)]
    counts = [span_counts(g, p) for g, p in zip(gold, predicted, strict=True)]
    micro, types = type_score(sum_counts(counts)), type_scores(gold, predicted)
    low, high = bootstrap_f1(counts, resamples, CONFIDENCE, seed=0)
    parts = seen_unseen([s.words for s in sentences], gold, predicted, seen)
    return SpanScores(
        f1=micro.f1,
        precision=micro.precision,
        recall=micro.recall,
        f1_low=low,
        f1_high=high,
        macro_f1=float(np.mean([row.f1 for row in types.values()])) if types else 0.0,
        token_accuracy=token_accuracy(*tags),
        types=types,
        seen_f1=parts["seen"].f1,
        seen_support=parts["seen"].tp + parts["seen"].fn,
        unseen_f1=parts["unseen"].f1,
        unseen_support=parts["unseen"].tp + parts["unseen"].fn,
        confusion=confusion(gold, predicted),
        sentences=len(sentences),
        words=sum(lengths),
    )


def type_scores(gold: Spans, predicted: Spans) -> dict[str, TypeScore]:
    """The scores of each type that a gold or predicted span has, by name."""
    found: tuple[Counter[str], ...] = (Counter(), Counter(), Counter())
    for gold_spans, predicted_spans in zip(map(set, gold), map(set, predicted), strict=True):
        parts = (gold_spans & predicted_spans, predicted_spans - gold_spans, gold_spans - predicted_spans)
        for counter, spans in zip(found, parts, strict=True):
            counter.update(span.type for span in spans)
    return {kind: type_score(Counts(*(counter[kind] for counter in found))) for kind in sorted(set().union(*found))}


def type_score(counts: Counts) -> TypeScore:
    """F1 from precision and recall, as seqeval computes it: from the counts, its last bit may differ."""
    precision, recall = counts.precision, counts.recall
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return TypeScore(f1, precision, recall, counts.tp + counts.fn)


def compare_with_seqeval(sentences: Sequence[Sentence], gold: Spans, predicted: Spans, f1: float) -> None:
    """Raises FpplmError if seqeval's micro F1 in strict mode is another one."""
    from seqeval.metrics import f1_score  # takes a second, and serving installs no seqeval
    from seqeval.scheme import IOB2

    names = {span.type for part in (gold, predicted) for row in part for span in row}
    codes = {kind: str(number) for number, kind in enumerate(names)}  # seqeval reads the type -X as X
    tags = [
        [
            tags_from_spans([span._replace(type=codes[span.type]) for span in row], len(s.words), "IOB2")
            for s, row in zip(sentences, part, strict=True)
        ]
        for part in (gold, predicted)
    ]
    other = f1_score(*tags, mode="strict", scheme=IOB2, zero_division=0) if names else 0.0
    if abs(f1 - other) > 1e-9:
        raise FpplmError("span scores disagree with seqeval", got=f"F1 {f1} and {other}")


def score_split(
    sentences: Sequence[Sentence],
    predicted: Spans,
    logits: Logits,
    labels: Sequence[str],
    seen: set[tuple[str, str]],
    words_in_windows: int,
    words_without_pieces: int,
) -> SplitScores:
    """The scores of a split, whose logits gave the predicted spans. Raises FpplmError if seqeval has another F1.

    *Shape:* logits (words, K) by sentence, in the order of the K `labels`.
    """
    gold = gold_spans(sentences)
    spans = score_spans(sentences, gold, predicted, seen)
    compare_with_seqeval(sentences, gold, predicted, spans.f1)
    index = {label: number for number, label in enumerate(labels)}
    tags = (tags_from_spans(row, len(s.words), INNER_SCHEME) for row, s in zip(gold, sentences, strict=True))
    gold_labels = np.array([index.get(tag, -1) for row in tags for tag in row])
    return SplitScores(
        **vars(spans),
        illegal_paths=illegal_share(logits, labels),
        calibration_error=calibration_error(softmax(np.concatenate(logits)), gold_labels),
        coverage=words_in_windows / max(1, spans.words),
        words_without_pieces=words_without_pieces,
    )


def illegal_share(logits: Logits, labels: Sequence[str]) -> float:
    """The share of sentences whose likeliest labels, word by word, are an illegal path."""
    paths = [[labels[label] for label in values.argmax(axis=1)] for values in logits]
    illegal = sum(not all(legal(a, b, INNER_SCHEME) for a, b in pairwise([None, *path, None])) for path in paths)
    return illegal / max(1, len(logits))
