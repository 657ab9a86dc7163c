"""Span scores: exact match of borders and type, per sentence first, so that intervals and tests can follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpplm_core.tagging.schemes import MISSED, SPURIOUS
from fpplm_core.tagging.spans import Span

RESAMPLES = 1000  # of the sentences, for the interval of F1
CONFIDENCE = 0.95  # of that interval
BINS = 15  # of confidence, for the calibration error
DRAWN = 1_000_000  # numbers that a bootstrap draws at a time

Row = tuple[int, ...]  # the counts of a sentence; where two taggers are compared, those of both
SentenceCounts = NDArray[np.int64]  # (..., sentences, 3): true positives, false positives, false negatives


class Counts(NamedTuple):
    """True positives, false positives, false negatives."""

    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0

    @property
    def recall(self) -> float:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.tp + self.fp + self.fn else 0.0


def span_counts(gold: Iterable[Span], predicted: Iterable[Span], kind: str | None = None) -> Counts:
    """Counts of one sentence, only over the spans of type `kind` if it is given."""
    gold_spans = {span for span in gold if kind in (None, span.type)}
    predicted_spans = {span for span in predicted if kind in (None, span.type)}
    common = len(gold_spans & predicted_spans)
    return Counts(common, len(predicted_spans) - common, len(gold_spans) - common)


def sum_counts(counts: Iterable[Counts]) -> Counts:
    """The counts of all sentences together."""
    rows = list(counts)
    return Counts(sum(c.tp for c in rows), sum(c.fp for c in rows), sum(c.fn for c in rows))


def sum_rows(rows: Counter[Row]) -> Counts:
    """The counts of all sentences, from how often each row occurs."""
    return Counts(*(sum(row[part] * times for row, times in rows.items()) for part in range(3)))


def micro_f1(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]) -> float:
    """F1 over the spans of all sentences together."""
    return sum_counts(span_counts(g, p) for g, p in zip(gold, predicted, strict=True)).f1


def f1_of_sums(sums: NDArray[Any]) -> NDArray[np.float64]:
    """Micro F1 of whole numbers; 0 where there is nothing to find and nothing found. *Shape:* (..., 3) to (...)."""
    tp, fp, fn = np.moveaxis(sums, -1, 0)
    return np.asarray(2 * tp / np.maximum(1, 2 * tp + fp + fn))


def f1_of_counts(counts: SentenceCounts) -> float:
    """Micro F1 over all sentences. *Shape:* (sentences, 3)."""
    return float(f1_of_sums(counts.sum(axis=0)))


def bootstrap_f1(rows: Sequence[Row] | Counter[Row]) -> tuple[float, float]:
    """Percentile interval of micro F1 over resampled sentences (Efron 1979; for NLP: Berg-Kirkpatrick 2012).

    `rows` has the counts of each sentence, or how often each row of counts occurs. Without any, both ends are 0.
    """
    if not rows:
        return 0.0, 0.0
    scores = f1_of_sums(resampled_sums(Counter(rows), RESAMPLES, seed=0))
    low, high = np.quantile(scores, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def resampled_sums(rows: Counter[Row], resamples: int, seed: int) -> NDArray[np.int64]:
    """The sum of the rows in each resample of as many rows, with replacement. *Shape:* (resamples, numbers of a row).

    To draw sentences is to draw how often each distinct row occurs, which is multinomial (Efron 1979). That
    takes the memory and time of the distinct rows, of which there are few. `rows` must not be empty.
    """
    distinct = sorted(rows)
    table, times = np.array(distinct, dtype=np.int64), np.array([rows[row] for row in distinct])
    random, step = np.random.default_rng(seed), max(1, DRAWN // len(distinct))
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate([random.multinomial(times.sum(), times / times.sum(), size=n) @ table for n in sizes])


def confusion(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]) -> Counter[tuple[str, str]]:
    """The number of spans of each gold type and predicted type.

    Spans with the same borders are paired; the remaining gold ones are MISSED, the remaining predicted ones SPURIOUS.
    """
    table: Counter[tuple[str, str]] = Counter()
    for gold_spans, predicted_spans in zip(gold, predicted, strict=True):
        type_at = {span[:2]: span.type for span in predicted_spans}
        gold_borders = {span[:2] for span in gold_spans}
        table.update((span.type, type_at.get(span[:2], MISSED)) for span in gold_spans)
        table.update((SPURIOUS, span.type) for span in predicted_spans if span[:2] not in gold_borders)
    return table


def seen_unseen(
    sentences: Sequence[Sequence[str]],
    gold: Sequence[Sequence[Span]],
    predicted: Sequence[Sequence[Span]],
    seen: set[tuple[str, str]],
) -> dict[str, Counts]:
    """Counts of the mentions whose (lower-cased text, type) stands in the training split, and of the others.

    A predicted span counts in the part that its own text and type belong to.
    """
    rows = list(zip(sentences, gold, predicted, strict=True))
    return {part: sum_counts(mention_counts(*row, part, seen) for row in rows) for part in ("seen", "unseen")}


def mention_counts(
    words: Sequence[str], gold: Sequence[Span], predicted: Sequence[Span], part: str | None, seen: set[tuple[str, str]]
) -> Counts:
    """The counts of one sentence, only over its seen or unseen mentions if `part` says so, as in `seen_unseen`."""
    if part is None:
        return span_counts(gold, predicted)

    def own(spans: Sequence[Span]) -> list[Span]:
        return [span for span in spans if (mention(words, span) in seen) == (part == "seen")]

    return span_counts(own(gold), own(predicted))


def mention(words: Sequence[str], span: Span) -> tuple[str, str]:
    """The lower-cased text of a span, and its type."""
    return " ".join(words[span.start : span.end]).lower(), span.type


def right_words(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> int:
    """The number of words with the right tag."""
    pairs = zip(gold, predicted, strict=True)
    return sum(a == b for tags, others in pairs for a, b in zip(tags, others, strict=True))


def calibration_error(gaps: NDArray[np.float64], words: int) -> float:
    """Expected calibration error (Guo 2017, 1706.04599, eq. 3), in [0, 1], from `calibration_gaps` of all words."""
    return float(np.abs(gaps).sum() / max(1, words))


def calibration_gaps(probabilities: NDArray[np.floating[Any]], gold: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """For each bin of confidence, how many of the likeliest labels are right, less the sum of their probabilities.

    The gaps of parts of a corpus add up to those of the whole. *Shape:* probabilities (words, K); gold (words,), a
    negative number where no label is right; the result (BINS,).
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == gold
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return np.asarray(np.bincount(place, correct, BINS) - np.bincount(place, confidence, BINS))
