"""What the predictions on test show beyond the scores: intervals by type, boundaries, and calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fpplm.report.tagging_errors import Error
from fpplm_core.evaluation.metrics import CONFIDENCE, bootstrap_f1, span_counts
from fpplm_core.evaluation.predictions import SentencePrediction
from fpplm_core.tagging.schemes import MISSED, SPURIOUS

BINS = 10  # of the score, for the reliability
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
REACH = 2  # words by which a boundary is off; farther ones count as this far
BOUNDARY_WORDS = 8


@dataclass(frozen=True)
class HeatMap:
    """A matrix: its columns, and rows of (name, total, cells); a cell is (count, share of the row)."""

    columns: list[str]
    rows: list[tuple[str, int, list[tuple[int, float]]]]


@dataclass(frozen=True)
class Boundaries:
    """The wrong boundaries: where spans begin and end, and the (word, count) that were most often left out or added."""

    offsets: HeatMap
    left_out: list[tuple[str, int]]
    added: list[tuple[str, int]]


@dataclass(frozen=True)
class ScoreBin:
    """The predicted spans of a range of scores: how many, their mean score, the share that is right, its interval."""

    begin: float
    end: float
    spans: int
    score: float
    right: float
    low: float
    high: float


@dataclass(frozen=True)
class Threshold:
    """Precision (None of no span), recall and F1 if only predicted spans of at least this score are kept."""

    score: float
    spans: int
    precision: float | None
    recall: float
    f1: float


@dataclass(frozen=True)
class Calibration:
    """The calibration of span scores; `error` is the mean gap between score and share of right spans over the bins."""

    error: float
    bins: list[ScoreBin]
    thresholds: list[Threshold]


def type_intervals(sentences: Sequence[SentencePrediction], types: Collection[str]) -> dict[str, tuple[float, float]]:
    """The bootstrap interval of each type's F1, as the gate's floors take it."""
    return {kind: bootstrap_f1([span_counts(s.gold, s.predicted, kind) for s in sentences]) for kind in types}


def type_confusion(confusion: Mapping[str, Mapping[str, int]]) -> HeatMap:
    types = sorted({kind for row in (confusion, *confusion.values()) for kind in row} - {MISSED, SPURIOUS})
    columns = [*types, MISSED]
    return heat_map({gold: confusion.get(gold, {}) for gold in (*types, SPURIOUS)}, columns)


def heat_map(table: Mapping[str, Mapping[str, int]], columns: Sequence[str]) -> HeatMap:
    rows = []
    for name, found in table.items():
        counts = [found.get(column, 0) for column in columns]
        rows.append((name, sum(counts), [(count, count / max(1, sum(counts))) for count in counts]))
    return HeatMap([*columns], rows)


def boundaries(errors: Sequence[tuple[SentencePrediction, Error]]) -> Boundaries:
    """Of the errors with wrong boundaries: where the prediction begins and ends, in words from the gold span."""
    names = offset_names()
    cells, left_out, added = Counter[tuple[str, str]](), Counter[str](), Counter[str]()
    for sentence, error in errors:
        gold, predicted = error.gold, error.predicted
        if error.kind != "wrong boundaries" or gold is None or predicted is None:
            continue
        cells[names[clip(predicted.start - gold.start)], names[clip(predicted.end - gold.end)]] += 1
        inside, found = set(range(gold.start, gold.end)), set(range(predicted.start, predicted.end))
        left_out.update(sentence.words[n].lower() for n in inside - found)
        added.update(sentence.words[n].lower() for n in found - inside)
    table = {start: {end: cells[start, end] for end in names.values()} for start in names.values()}
    return Boundaries(
        heat_map(table, [*names.values()]), left_out.most_common(BOUNDARY_WORDS), added.most_common(BOUNDARY_WORDS)
    )


def clip(offset: int) -> int:
    return max(-REACH, min(REACH, offset))


def offset_names() -> dict[int, str]:
    """Names of the offsets from -REACH to REACH."""

    def name(offset: int) -> str:
        number = f"{abs(offset)}{'+' if abs(offset) == REACH else ''}"
        return "right" if not offset else f"{number} {'early' if offset < 0 else 'late'}"

    return {offset: name(offset) for offset in range(-REACH, REACH + 1)}


def calibration(sentences: Sequence[SentencePrediction]) -> Calibration | None:
    """The calibration of predicted spans; None if there is no span, or an earlier version kept no scores."""
    if any(sentence.scores is None for sentence in sentences):
        return None
    gold = [set(sentence.gold) for sentence in sentences]
    spans = [
        (score, span in right)
        for sentence, right in zip(sentences, gold, strict=True)
        for span, score in zip(sentence.predicted, sentence.scores or (), strict=True)
    ]
    if not spans:
        return None
    parts: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for score, right in spans:
        parts[min(BINS - 1, int(score * BINS))].append((score, right))
    bins = [score_bin(n / BINS, (n + 1) / BINS, part) for n, part in enumerate(parts) if part]
    error = sum(one.spans * abs(one.score - one.right) for one in bins) / len(spans)
    support = sum(map(len, gold))
    return Calibration(error, bins, [threshold(bound, spans, support) for bound in THRESHOLDS])


def score_bin(begin: float, end: float, spans: Sequence[tuple[float, bool]]) -> ScoreBin:
    from scipy.stats import binomtest  # takes a second

    right = sum(good for _, good in spans)
    low, high = binomtest(right, len(spans)).proportion_ci(CONFIDENCE, method="wilson")
    return ScoreBin(
        begin, end, len(spans), sum(s for s, _ in spans) / len(spans), right / len(spans), float(low), float(high)
    )


def threshold(bound: float, spans: Sequence[tuple[float, bool]], support: int) -> Threshold:
    kept = [good for score, good in spans if score >= bound]
    right = sum(kept)
    precision, recall = right / len(kept) if kept else None, right / max(1, support)
    f1 = 2 * right / max(1, len(kept) + support)
    return Threshold(bound, len(kept), precision, recall, f1)
