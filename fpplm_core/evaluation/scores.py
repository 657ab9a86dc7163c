"""All scores of tagged sentences; seqeval gives the official ones, `metrics` what seqeval does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fpplm_core.data.records import Sentence
from fpplm_core.errors import FpplmError
from fpplm_core.evaluation.metrics import (
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
    """Raises FpplmError if seqeval's micro F1 is not that of our own counts."""
    from seqeval.metrics import classification_report  # takes a second, and reading scores does not need it
    from seqeval.scheme import IOB2

    lengths = [len(s.words) for s in sentences]
    names = sorted({span.type for part in (gold, predicted) for row in part for span in row})
    codes = {kind: f"{number:06d}" for number, kind in enumerate(names)}  # seqeval reads -X as X, and has its own rows
    tags = [[coded_tags(s, n, codes) for s, n in zip(part, lengths, strict=True)] for part in (gold, predicted)]
    report = classification_report(*tags, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    counts = [span_counts(g, p) for g, p in zip(gold, predicted, strict=True)]
    overall, micro = sum_counts(counts), report["micro avg"]
    if abs(overall.f1 - micro["f1-score"]) > 1e-9:
        raise FpplmError("span counts disagree with seqeval", got=f"{overall.f1} and {micro['f1-score']}")
    low, high = bootstrap_f1(counts, resamples, CONFIDENCE, seed=0)
    parts = seen_unseen([s.words for s in sentences], gold, predicted, seen)
    types = {
        kind: TypeScore(row["f1-score"], row["precision"], row["recall"], int(row["support"]))
        for kind, row in ((kind, report[code]) for kind, code in codes.items())
    }
    return SpanScores(
        f1=micro["f1-score"],
        precision=micro["precision"],
        recall=micro["recall"],
        f1_low=low,
        f1_high=high,
        macro_f1=report["macro avg"]["f1-score"] if overall != (0, 0, 0) else 0.0,  # seqeval: NaN without a type
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


def coded_tags(spans: Sequence[Span], length: int, codes: Mapping[str, str]) -> list[str]:
    """IOB2 tags with a code for each type."""
    return tags_from_spans([span._replace(type=codes[span.type]) for span in spans], length, "IOB2")


def score_split(
    sentences: Sequence[Sentence],
    predicted: Spans,
    logits: Logits,
    labels: Sequence[str],
    seen: set[tuple[str, str]],
    words_in_windows: int,
    words_without_pieces: int,
) -> SplitScores:
    """The scores of a split, whose logits gave the predicted spans.

    *Shape:* logits (words, K) by sentence, in the order of the K `labels`.
    """
    gold = gold_spans(sentences)
    spans = score_spans(sentences, gold, predicted, seen)
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
