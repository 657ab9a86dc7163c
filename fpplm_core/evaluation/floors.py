"""The floors of the gate: which are missing, and which a model's own scores propose."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fpplm_core.evaluation.metrics import bootstrap_f1, span_counts
from fpplm_core.evaluation.predictions import SentencePrediction
from fpplm_core.evaluation.scores import SpanScores
from fpplm_core.evaluation.settings import GateSettings

STEPS = 100  # proposed floors are whole hundredths


@dataclass(frozen=True)
class Floors:
    """Values for `gate` in params.yaml; 0 where no floor can be proposed."""

    min_f1: float
    min_type_f1: float
    type_f1: dict[str, float]


def propose_floors(test: Sequence[SentencePrediction], types: Collection[str]) -> Floors:
    """The lower ends of the 95% bootstrap intervals of test F1, rounded down to hundredths.

    `min_f1` is that of all spans, `min_type_f1` the smallest of the `types`. A type whose lower end is below a
    hundredth has no floor, which `type_f1` says: its value there is 0.
    """

    def low(kind: str | None) -> float:
        counts = [span_counts(row.gold, row.predicted, kind) for row in test]
        return math.floor(STEPS * bootstrap_f1(counts)[0]) / STEPS

    by_type = {kind: low(kind) for kind in sorted(types)}
    smallest = min((value for value in by_type.values() if value), default=0.0)
    return Floors(low(None), smallest, {kind: value for kind, value in by_type.items() if not value})


def missing_floors(gate: GateSettings, types: Collection[str]) -> list[str]:
    """The parameters that leave the gate open: for all spans, or for a type that `type_f1` does not name."""
    names = [] if gate.min_f1 else ["gate.min_f1"]
    return names if gate.min_type_f1 or set(types) <= gate.type_f1.keys() else [*names, "gate.min_type_f1"]


def weak_types(test: SpanScores, types: Collection[str]) -> list[str]:
    """One line for each type that the model never finds right in test, or that test has no mention of."""
    lines = []
    for kind in sorted(types):
        row = test.types.get(kind)
        if row is None or not row.support:
            lines.append(f"{kind}: test has no mention of this type")
        elif not row.f1:
            lines.append(f"{kind}: test F1 0.0000 on {row.support} mention(s)")
    return lines
