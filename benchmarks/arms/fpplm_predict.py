"""The bundle: entities with offsets and scores, from plain text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.arm import Job, load_texts, one_by_one, serve
from fpplm_core.serving import Predictor


def prepare(task: dict[str, Any]) -> tuple[dict[str, Job], dict[str, Any]]:
    """*task:* folder (with bundle and texts.json), device, variant."""
    folder = Path(task["folder"])
    predictor = Predictor.load(folder / "bundle", task["device"], task["variant"])
    texts = load_texts(folder)
    jobs: dict[str, Job] = {
        "corpus": lambda: {"entities": sum(map(len, predictor.predict_many(texts)))},
        "each": lambda: one_by_one(predictor.predict, texts[:100]),
    }
    return jobs, {"variant": predictor.variant, "batch_pieces": predictor.batch_pieces}


if __name__ == "__main__":
    serve(prepare, ["onnxruntime-gpu", "tokenizers"])
