"""Span scores: exact match of borders and type, per sentence first, so that intervals and tests can follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpplm_core.tagging.spans import Span

MISSED = "(missed)"
SPURIOUS = "(spurious)"


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


def count(gold: Iterable[Span], predicted: Iterable[Span], kind: str | None = None) -> Counts:
    """Counts of one sentence; of one type where `kind` names it."""
    wanted = {span for span in gold if kind in (None, span.type)}
    found = {span for span in predicted if kind in (None, span.type)}
    return Counts(len(wanted & found), len(found - wanted), len(wanted - found))


def total(counts: Iterable[Counts]) -> Counts:
    rows = list(counts)
    return Counts(sum(c.tp for c in rows), sum(c.fp for c in rows), sum(c.fn for c in rows))


def bootstrap_f1(counts: Sequence[Counts], resamples: int, confidence: float, seed: int) -> tuple[float, float]:
    """Percentile interval of micro F1 over resampled sentences (Efron 1979; for NLP: Berg-Kirkpatrick 2012)."""
    table: NDArray[np.int64] = np.array(counts, dtype=np.int64).reshape(-1, 3)
    random = np.random.default_rng(seed)
    scores = np.empty(resamples)
    for index in range(resamples):
        tp, fp, fn = table[random.integers(0, len(table), len(table))].sum(axis=0)
        scores[index] = 2 * tp / max(1, 2 * tp + fp + fn)
    low, high = np.quantile(scores, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def confusion(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]) -> dict[str, dict[str, int]]:
    """gold type -> predicted type -> spans.

    Spans with the same borders are paired by them; the remaining gold ones are MISSED, predicted ones SPURIOUS.
    """
    table: Counter[tuple[str, str]] = Counter()
    for wanted, found in zip(gold, predicted, strict=True):
        by_border = {span[:2]: span.type for span in found}
        borders = {span[:2] for span in wanted}
        table.update((span.type, by_border.get(span[:2], MISSED)) for span in wanted)
        table.update((SPURIOUS, span.type) for span in found if span[:2] not in borders)
    rows: dict[str, dict[str, int]] = {}
    for (wanted_type, found_type), number in sorted(table.items()):
        rows.setdefault(wanted_type, {})[found_type] = number
    return rows


def seen_unseen(
    sentences: Sequence[Sequence[str]],
    gold: Sequence[Sequence[Span]],
    predicted: Sequence[Sequence[Span]],
    seen: set[tuple[str, str]],
) -> dict[str, Counts]:
    """Counts of mentions whose (lower-cased text, type) the training split has, and of the others.

    A predicted span counts in the part that its own text and type belong to.
    """
    parts: dict[str, list[Counts]] = {"seen": [], "unseen": []}
    for words, wanted, found in zip(sentences, gold, predicted, strict=True):
        for part, rows in parts.items():
            belongs = part == "seen"
            gold_part, found_part = (
                [span for span in spans if (mention(words, span) in seen) == belongs] for spans in (wanted, found)
            )
            rows.append(count(gold_part, found_part))
    return {part: total(rows) for part, rows in parts.items()}


def mention(words: Sequence[str], span: Span) -> tuple[str, str]:
    """The lower-cased text of a span, and its type."""
    return " ".join(words[span.start : span.end]).lower(), span.type


def token_accuracy(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    pairs = [(a, b) for wanted, found in zip(gold, predicted, strict=True) for a, b in zip(wanted, found, strict=True)]
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0


def calibration_error(
    probabilities: NDArray[np.floating[Any]], gold: NDArray[np.integer[Any]], bins: int = 15
) -> float:
    """Expected calibration error of the likeliest labels (Guo 2017, 1706.04599, eq. 3).

    *probabilities:* (words, K), *gold:* (words,), a negative number where no label is right. In [0, 1].
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == gold
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(place, right, bins) - np.bincount(place, confidence, bins)
    return float(np.abs(gap).sum() / max(1, len(gold)))
