"""Speed of plain fpplm training and of transformers' Trainer, in turn: whole epochs, same encoder and data.

`fpplm ablate` compares their scores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks import machine
from benchmarks.peer import train_peer
from fpplm_core import params
from fpplm_core.training import train_steps
from tasks.read import load_corpus
from tasks.train import start
from tasks.training_data import make_batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32, help="sentences in a step of the Trainer")
    options = parser.parse_args()
    settings = params.load()
    corpus = {split: load_corpus(split) for split in ("train", "dev", "test")}
    speed: dict[str, list[float]] = {"fpplm": [], "trainer": []}
    for _ in range(options.rounds):
        speed["fpplm"].append(one_epoch(settings))
        speed["trainer"].append(train_peer(corpus, settings.model, 1, 1, 3e-4, options.batch).words_per_s)
        print({name: round(values[-1]) for name, values in speed.items()}, flush=True)
    medians = {name: statistics.median(values) for name, values in speed.items()}
    machine.save(
        "trainer.json",
        {
            "command": " ".join(["python", *sys.argv]),
            "words_per_s": speed,
            "median": medians,
            "ratio": medians["fpplm"] / medians["trainer"],
        },
    )


def one_epoch(settings: params.Params) -> float:
    """Words/s of one epoch of plain training."""
    chosen = settings.model_copy(update={"train": settings.train.model_copy(update={"epochs": 1}), "technique": {}})
    run = start(chosen, None)
    began = time.perf_counter()
    for _ in train_steps(run.state, lambda n: make_batch(run.data, run.data.order[n]), {}, run.plan):
        pass
    return sum(len(window.words) for window in run.data.windows) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
