"""The bundle: plain text to entities with offsets and scores."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[2])
from benchmarks.harness import arm, tagging
from fpplm_core.serving import Predictor


def prepare(task: dict[str, Any]) -> tuple[dict[str, arm.Job], dict[str, Any]]:
    """*task:* folder (with bundle and texts.json), device, variant."""
    predictor = Predictor.load(Path(task["folder"], "bundle"), task["device"], task["variant"])
    texts = tagging.plain(task)
    jobs: dict[str, arm.Job] = {
        "corpus": lambda: {"entities": sum(map(len, predictor.predict_many(texts)))},
        "each": lambda: arm.one_by_one(predictor.predict, texts[: tagging.LATENCY_TEXTS]),
    }
    return jobs, {"variant": predictor.variant, "batch_pieces": predictor.batch_pieces}


if __name__ == "__main__":
    arm.serve(prepare, ["onnxruntime-gpu", "tokenizers"])
