"""All scores of tagged sentences; seqeval gives the official ones, `metrics` what seqeval does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from fpplm_core.data.records import Sentence
from fpplm_core.errors import FpplmError
from fpplm_core.evaluation.metrics import bootstrap_f1, confusion, span_counts, mention, seen_unseen, token_accuracy, sum_counts
from fpplm_core.evaluation.settings import EvaluateParams
from fpplm_core.tagging.spans import Span, lenient_spans, to_tags


def mentions(sentences: Sequence[Sentence]) -> set[tuple[str, str]]:
    """The mentions that the gold tags of these sentences hold, as `metrics.seen_unseen` wants them."""
    return {mention(s.words, span) for s in sentences for span in lenient_spans(s.tags)}


def score(
    sentences: Sequence[Sentence],
    gold: Sequence[Sequence[Span]],
    predicted: Sequence[Sequence[Span]],
    seen: set[tuple[str, str]],
    settings: EvaluateParams,
) -> dict[str, Any]:
    """All scores of a split; micro F1 comes from seqeval and must agree with our own counts."""
    lengths = [len(s.words) for s in sentences]
    tags = [[to_tags(s, n, "IOB2") for s, n in zip(part, lengths, strict=True)] for part in (gold, predicted)]
    report = classification_report(*tags, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    counts = [span_counts(g, p) for g, p in zip(gold, predicted, strict=True)]
    overall = sum_counts(counts)
    micro = report["micro avg"]
    if abs(overall.f1 - micro["f1-score"]) > 1e-9:
        raise FpplmError("span counts disagree with seqeval", got=f"{overall.f1} and {micro['f1-score']}")
    interval = bootstrap_f1(counts, settings.bootstrap, settings.confidence, seed=0)
    averages = ("micro avg", "macro avg", "weighted avg")
    parts = seen_unseen([s.words for s in sentences], gold, predicted, seen)
    return {
        "f1": micro["f1-score"],
        "precision": micro["precision"],
        "recall": micro["recall"],
        "f1_low": interval[0],
        "f1_high": interval[1],
        "macro_f1": report["macro avg"]["f1-score"] if overall != (0, 0, 0) else 0.0,  # seqeval: NaN without a type
        "token_accuracy": token_accuracy(*tags),
        "types": {
            kind: {
                "f1": row["f1-score"],
                "precision": row["precision"],
                "recall": row["recall"],
                "support": int(row["support"]),
            }
            for kind, row in report.items()
            if kind not in averages
        },
        "seen_f1": parts["seen"].f1,
        "seen_support": parts["seen"].tp + parts["seen"].fn,
        "unseen_f1": parts["unseen"].f1,
        "unseen_support": parts["unseen"].tp + parts["unseen"].fn,
        "confusion": confusion(gold, predicted),
        "sentences": len(sentences),
        "words": sum(lengths),
    }
