"""Our training: runs of one epoch over the whole of train, as the stage makes them; the steps alone are timed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path[0] = str(Path(__file__).parents[2])
from benchmarks.arm import Job, serve
from fpplm_core.params import Params, load
from fpplm_core.training.data import make_batch
from fpplm_core.training.loop import read_losses, train_steps
from fpplm_core.training.run import prepare_run


def prepare(task: dict[str, Any]) -> tuple[dict[str, Job], dict[str, Any]]:
    """*task:* techniques (names, null = those that ship), device, and params.yaml's batch_pieces and precision."""
    settings = load()
    train = settings.train.model_copy(
        update={"epochs": 1, **{name: task[name] for name in ("batch_pieces", "precision", "device")}}
    )
    on = {} if task["techniques"] is None else {"active": task["techniques"]}
    settings = settings.model_copy(update={"train": train, "technique": settings.technique | on})
    return {"train": lambda: run(settings)}, {"threads": torch.get_num_threads(), **task}


def run(settings: Params) -> dict[str, Any]:
    precision = settings.train.precision
    started = prepare_run(settings, None if precision == "auto" else precision == "bfloat16")
    data = started.data
    if started.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    steps = train_steps(started.state, lambda n: make_batch(data, data.batches_by_step[n]), started.active, started.plan)
    losses = read_losses(list(steps))
    seconds = time.perf_counter() - began
    rows = [data.windows[row] for batch in data.batches_by_step for row in batch]
    padded = sum(max(len(data.windows[row].ids) for row in batch) * len(batch) for batch in data.batches_by_step)
    return {
        "seconds": seconds,
        "words": sum(len(window.owned_words) for window in rows),
        "pieces": sum(len(window.ids) for window in rows),
        "padded_pieces": padded,
        "steps": len(data.batches_by_step),
        "precision": "bfloat16" if started.plan.bfloat16 else "float32",
        "loss": losses[-1]["tag"],
        "gpu_peak_bytes": torch.cuda.max_memory_allocated() if started.device.type == "cuda" else None,
    }


if __name__ == "__main__":
    serve(prepare, ["torch", "transformers"])
