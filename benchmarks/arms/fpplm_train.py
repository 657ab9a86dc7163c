"""Our training: runs of one epoch over the whole of train, as the stage makes them; the steps alone are timed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[2])
from fpplm.session.training import start  # first: fpplm sets what torch reads when it is loaded

# isort: split
import torch

from benchmarks.harness.arm import Job, serve
from fpplm_core.model.device import choose_device
from fpplm_core.params import Params, load
from fpplm_core.training.data import make_batch
from fpplm_core.training.loop import read_losses, train_steps


def prepare(task: dict[str, Any]) -> tuple[dict[str, Job], dict[str, Any]]:
    """*task:* techniques (names, null = those that ship), device, and params.yaml's batch_pieces and precision."""
    settings = load()
    train = settings.train.model_copy(
        update={"epochs": 1, **{name: task[name] for name in ("batch_pieces", "precision", "device")}}
    )
    on = {} if task["techniques"] is None else {"active": task["techniques"]}
    technique = settings.technique.model_copy(update=on)
    settings = settings.model_copy(update={"train": train, "technique": technique})
    return {"train": lambda: run(settings)}, {"threads": torch.get_num_threads(), **task}


def run(settings: Params) -> dict[str, Any]:
    precision = settings.train.precision
    bfloat16 = None if precision == "auto" else precision == "bfloat16"
    training = start(settings.model, settings.train, settings.technique, bfloat16, choose_device(settings.train.device))
    data, device = training.data, training.state.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    batches = [data.rows(step) for step in range(data.steps)]
    steps = train_steps(training.state, lambda n: make_batch(data, batches[n]), training.techniques, training.loop)
    losses = read_losses(list(steps))
    seconds = time.perf_counter() - began
    rows = [data.windows[row] for batch in batches for row in batch]
    padded = sum(max(len(data.windows[row].ids) for row in batch) * len(batch) for batch in batches)
    return {
        "seconds": seconds,
        "words": sum(len(window.owned_words) for window in rows),
        "pieces": sum(len(window.ids) for window in rows),
        "padded_pieces": padded,
        "steps": len(batches),
        "precision": training.loop.precision,
        "loss": losses[-1]["tag"],
        "gpu_peak_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
    }


if __name__ == "__main__":
    serve(prepare, ["torch", "transformers"])
