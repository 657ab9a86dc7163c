"""transformers' Trainer as its token-classification example uses it: one epoch over the whole of train a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

sys.path[0] = str(Path(__file__).parents[2])
from benchmarks.harness.arm import Job, require_device, serve
from benchmarks.peers.trainer import train_peer
from fpplm.pipeline.paths import CORPUS
from fpplm_core.data.corpus import load_corpus
from fpplm_core.params import load


def prepare(task: dict[str, Any]) -> tuple[dict[str, Job], dict[str, Any]]:
    """*task:* batch (sentences), bf16 (bool), device."""
    require_device(task["device"], "cuda" if torch.cuda.is_available() else "cpu")  # the Trainer takes what there is
    settings = load()
    corpus = {split: load_corpus(split, CORPUS) for split in ("train", "dev")}
    words = sum(len(s.words) for s in corpus["train"])

    def run() -> dict[str, Any]:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        peer = train_peer(corpus, settings.model, 1, 1, 3e-4, task["batch"], bf16=task["bf16"])
        gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
        return {"seconds": words / peer.words_per_s, "words": words, "gpu_peak_bytes": gpu}

    return {"train": run}, {"threads": torch.get_num_threads(), **task}


if __name__ == "__main__":
    serve(prepare, ["torch", "transformers"])
