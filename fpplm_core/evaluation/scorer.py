"""Scores a tagger part by part, so that a split need not be in memory. The pipeline compares F1 with seqeval's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from fpplm_core.data.records import Sentence
from fpplm_core.errors import FpplmError
from fpplm_core.evaluation.metrics import (
    BINS,
    Counts,
    Row,
    bootstrap_f1,
    calibration_error,
    calibration_gaps,
    confusion,
    right_words,
    seen_unseen,
    span_counts,
    sum_counts,
    sum_rows,
)
from fpplm_core.evaluation.scores import (
    Logits,
    Spans,
    SpanScores,
    SplitScores,
    type_score,
)
from fpplm_core.tagging.schemes import INNER_SCHEME, legal
from fpplm_core.tagging.spans import tags_from_spans
from fpplm_core.tagging.viterbi import softmax

if TYPE_CHECKING:  # it needs pyarrow, which whoever only evaluates a bundle lacks
    from fpplm_core.evaluation.slicing import SliceScorer


class SpanScorer:
    """Adds up the counts of tagged sentences; `seen` are the mentions of the training split."""

    def __init__(self, seen: set[tuple[str, str]]) -> None:
        self.seen = seen
        self.sentences = self.words = self.right = 0
        self.rows = Counter[Row]()  # how often each row of counts occurs: memory does not grow with the sentences
        self.types: dict[str, Counts] = {}
        self.by_novelty: dict[str, Counts] = {}  # seen, unseen
        self.confusion = Counter[tuple[str, str]]()

    def add(self, sentences: Sequence[Sentence], gold: Spans, predicted: Spans) -> Counts:
        """Counts the spans of more sentences; returns their counts."""
        lengths = [len(s.words) for s in sentences]
        tags = [
            [tags_from_spans(s, n, "IOB2") for s, n in zip(spans, lengths, strict=True)] for spans in (gold, predicted)
        ]
        counts = [span_counts(g, p) for g, p in zip(gold, predicted, strict=True)]
        self.rows.update(counts)
        self.sentences += len(lengths)
        self.words += sum(lengths)
        self.right += right_words(*tags)
        self.confusion.update(confusion(gold, predicted))
        for total, own in (
            (self.types, type_counts(gold, predicted)),
            (self.by_novelty, seen_unseen([s.words for s in sentences], gold, predicted, self.seen)),
        ):
            total.update({name: sum_counts([total.get(name, Counts(0, 0, 0)), row]) for name, row in own.items()})
        return sum_counts(counts)

    def scores(self) -> SpanScores:
        """The scores of all sentences, to the bit those of seqeval in strict mode."""
        micro = type_score(sum_rows(self.rows))
        types = {kind: type_score(row) for kind, row in sorted(self.types.items())}
        low, high = bootstrap_f1(self.rows)
        seen, unseen = (self.by_novelty.get(name, Counts(0, 0, 0)) for name in ("seen", "unseen"))
        table: dict[str, dict[str, int]] = {}
        for (gold_type, predicted_type), number in sorted(self.confusion.items()):
            table.setdefault(gold_type, {})[predicted_type] = number
        return SpanScores(
            f1=micro.f1,
            precision=micro.precision,
            recall=micro.recall,
            f1_low=low,
            f1_high=high,
            macro_f1=float(np.mean([row.f1 for row in types.values()])) if types else 0.0,
            token_accuracy=self.right / max(1, self.words),
            types=types,
            seen_f1=seen.f1,
            seen_support=seen.tp + seen.fn,
            unseen_f1=unseen.f1,
            unseen_support=unseen.tp + unseen.fn,
            confusion=table,
            sentences=self.sentences,
            words=self.words,
        )


class SplitScorer:
    """Adds up the counts of a split part by part, with what the logits show; they are in the order of the labels."""

    def __init__(self, seen: set[tuple[str, str]], labels: Sequence[str], slices: SliceScorer) -> None:
        self.spans = SpanScorer(seen)
        self.slices = slices
        self.labels = labels
        self.illegal = self.words_in_windows = 0
        self.gaps = np.zeros(BINS)

    def add(
        self, sentences: Sequence[Sentence], gold: Spans, predicted: Spans, logits: Logits, words_in_windows: int
    ) -> None:
        """Counts a part whose logits gave the predicted spans.

        Raises FpplmError if seqeval gives it another F1, DataError if a slice's column cannot be read.

        *Shape:* logits (words, K) by sentence.
        """
        counts = self.spans.add(sentences, gold, predicted)
        self.slices.add(sentences, gold, predicted)
        compare_with_seqeval(sentences, gold, predicted, counts.f1)
        index = {label: number for number, label in enumerate(self.labels)}
        tags = (tags_from_spans(row, len(s.words), INNER_SCHEME) for row, s in zip(gold, sentences, strict=True))
        gold_labels = np.array([index.get(tag, -1) for row in tags for tag in row])
        self.gaps += calibration_gaps(softmax(np.concatenate(logits)), gold_labels)
        self.illegal += count_illegal(logits, self.labels)
        self.words_in_windows += words_in_windows

    def scores(self, words_without_pieces: int) -> SplitScores:
        """The scores of all parts."""
        spans = self.spans.scores()
        return SplitScores(
            **vars(spans),
            illegal_paths=self.illegal / max(1, spans.sentences),
            calibration_error=calibration_error(self.gaps, spans.words),
            coverage=self.words_in_windows / max(1, spans.words),
            words_without_pieces=words_without_pieces,
            slices=self.slices.scores(),
        )


def score_spans(sentences: Sequence[Sentence], gold: Spans, predicted: Spans, seen: set[tuple[str, str]]) -> SpanScores:
    """The scores of predicted spans, to the bit those of seqeval in strict mode."""
    scorer = SpanScorer(seen)
    scorer.add(sentences, gold, predicted)
    return scorer.scores()


def type_counts(gold: Spans, predicted: Spans) -> dict[str, Counts]:
    """The counts of each type that a gold or predicted span has, by name."""
    found: tuple[Counter[str], ...] = (Counter(), Counter(), Counter())
    for wanted, given in zip(map(set, gold), map(set, predicted), strict=True):
        parts = (wanted & given, given - wanted, wanted - given)
        for counter, spans in zip(found, parts, strict=True):
            counter.update(span.type for span in spans)
    return {kind: Counts(*(counter[kind] for counter in found)) for kind in sorted(set().union(*found))}


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
        where, do = f"the sentences from {sentences[0].place} on", "report it: one of the two counts them wrongly"
        raise FpplmError("span scores disagree with seqeval", where=where, got=f"F1 {f1} and {other}", do=do)


def count_illegal(logits: Logits, labels: Sequence[str]) -> int:
    """The number of sentences whose likeliest labels, word by word, are an illegal path."""
    paths = [[labels[label] for label in values.argmax(axis=1)] for values in logits]
    return sum(not all(legal(a, b, INNER_SCHEME) for a, b in pairwise([None, *path, None])) for path in paths)
