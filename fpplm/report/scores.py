"""The two F1 of a model on the test split, by the same names everywhere.

"Trained" is that of the trained model in torch, "served" that of the graph that the bundle prefers on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fpplm.pipeline.paths import METRICS
from fpplm_core.files import read_json


@dataclass(frozen=True)
class F1:
    """F1 on test with the bounds of its interval."""

    f1: float
    low: float
    high: float


@dataclass(frozen=True)
class ModelScores:
    """Both F1 of a model; `served` is None if an earlier version of fpplm verified the model."""

    trained: F1
    served: F1 | None

    @classmethod
    def of(cls, evaluate: Mapping[str, Any], verify: Mapping[str, Any]) -> ModelScores:
        """From the content of metrics/evaluate.json and metrics/verify.json."""

        def f1(row: Mapping[str, Any]) -> F1:
            return F1(row["f1"], row["f1_low"], row["f1_high"])

        row = verify.get("served")
        return cls(f1(evaluate["test"]), f1(row) if row else None)


def model_scores() -> ModelScores:
    """Those of the model in this folder. Raises DataError if a metric is missing."""
    return ModelScores.of(*_metrics())


def interval(row: Mapping[str, Any]) -> str:
    return f"{row['f1']:.4f} [{row['f1_low']:.4f}, {row['f1_high']:.4f}]"


def served(verify: Mapping[str, Any]) -> str:
    """From the content of metrics/verify.json; a dash if an earlier version wrote it."""
    row = verify.get("served")
    return f"{interval(row)} ({row['graph']})" if row else "–"


def both_f1() -> str:
    """Both of the model in this folder. Raises DataError if a metric is missing."""
    evaluate, verify = _metrics()
    return f"test F1 served {served(verify)}, trained {interval(evaluate['test'])}"


def _metrics() -> tuple[Any, Any]:
    return read_json(METRICS / "evaluate.json"), read_json(METRICS / "verify.json")
