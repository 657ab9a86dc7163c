"""transformers' token-classification pipeline with the same weights, at the best of a few batch sizes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from transformers import pipeline

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.arm import Job, fastest, load_texts, one_by_one, serve


def prepare(task: dict[str, Any]) -> tuple[dict[str, Job], dict[str, Any]]:
    """*task:* folder (with hf and texts.json), device, dtype."""
    folder, texts = Path(task["folder"]), load_texts(Path(task["folder"]))
    tag = pipeline(
        "token-classification",
        model=str(folder / "hf"),
        aggregation_strategy="simple",
        device=-1 if task["device"] == "cpu" else 0,
        dtype=task["dtype"],
    )
    batch = fastest(lambda size: tag(texts[:100], batch_size=size), task["batches"])
    jobs: dict[str, Job] = {
        "corpus": lambda: {"entities": sum(map(len, tag(texts, batch_size=batch)))},
        "each": lambda: one_by_one(tag, texts[:100]),
    }
    return jobs, {"batch": batch, "threads": torch.get_num_threads()}


if __name__ == "__main__":
    serve(prepare, ["torch", "transformers"])
