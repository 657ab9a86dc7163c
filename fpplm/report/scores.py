"""The two F1 of a model on the test split, by the same names everywhere.

"Trained" is that of the trained model in torch, "served" that of the graph that the bundle prefers on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fpplm.pipeline.paths import METRICS
from fpplm_core.files import read_json


def interval(row: Mapping[str, Any]) -> str:
    return f"{row['f1']:.4f} [{row['f1_low']:.4f}, {row['f1_high']:.4f}]"


def served(verify: Mapping[str, Any]) -> str:
    """From the content of metrics/verify.json; a dash if an earlier version wrote it."""
    row = verify.get("served")
    return f"{interval(row)} ({row['graph']})" if row else "–"


def both_f1() -> str:
    """Both of the model in this folder. Raises DataError if a metric is missing."""
    evaluate, verify = (read_json(METRICS / f"{stage}.json") for stage in ("evaluate", "verify"))
    return f"test F1 served {served(verify)}, trained {interval(evaluate['test'])}"
