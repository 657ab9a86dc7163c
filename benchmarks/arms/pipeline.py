"""transformers' token-classification pipeline with the tagger's weights: plain text to entities."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[2])
from benchmarks.harness import arm, tagging

tagging.offline()
from transformers import pipeline


def prepare(task: dict[str, Any]) -> tuple[dict[str, arm.Job], dict[str, Any]]:
    """*task:* folder (with hf and texts.json), device, dtype, sizes (batches to choose from)."""
    tag = pipeline(
        "token-classification",
        model=str(Path(task["folder"], "hf")),
        aggregation_strategy="simple",
        device=-1 if task["device"] == "cpu" else 0,
        dtype=task["dtype"],
    )
    arm.require_device(task["device"], tag.device.type)
    return tagging.jobs(lambda texts, size: tag(list(texts), batch_size=size), tagging.plain(task), task["sizes"])


if __name__ == "__main__":
    arm.serve(prepare, ["torch", "transformers", "tokenizers"])
