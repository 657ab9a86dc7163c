"""The first steps of a training, in a project whose corpus is encoded; prints the most memory that they took, in MB."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import torch

from fpplm.session.training import start
from fpplm_core.params import load
from fpplm_core.training.frozen import train_frozen
from fpplm_core.training.history import TrainingHistory
from fpplm_core.training.run import train_epochs

STEPS = 200


def main() -> None:
    settings, history = load(), TrainingHistory()
    run = start(settings.model, settings.train, settings.technique, False, torch.device("cpu"))
    print(f"{len(run.data.windows)} windows, {run.loop.steps} steps")
    most = own_memory_mb()
    for _ in itertools.chain(
        train_frozen(run, history, Path()), itertools.islice(train_epochs(run, history, threading.Event()), STEPS)
    ):
        most = max(most, own_memory_mb())
    print(most)


def own_memory_mb() -> int:
    """The memory of this process without the pages of files, which the system takes back when it needs them."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith("RssAnon:"))
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    main()
