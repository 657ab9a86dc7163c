"""A training on this machine: resumed, shown, stopped by signals."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Any

from fpplm.session.checkpoint import Checkpoint
from fpplm.session.progress import Display
from fpplm_core.params import load
from fpplm_core.training.run import TrainingRun, train_epochs, prepare_run
from fpplm_core.training.settings import TrainSettings


def fit(started: TrainingRun, settings: TrainSettings, checkpoint: Checkpoint, history: dict[str, Any]) -> None:
    """Trains on from where `history` stands; shows and saves what happens.

    SIGTERM has the step finished and saved; then the process ends with the code that a shell gives for it.
    """
    terminated = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    windows, order = started.data.windows, started.data.batches_by_step
    if history["step"]:
        started.state.restore(checkpoint.tensors())
        print(f"going on from step {history['step']} of {started.plan.steps}", flush=True)
    with Display(started.plan.steps, history) as display:
        began, trained = time.perf_counter(), 0
        for report, score, last in train_epochs(started, settings, history, terminated):
            step, epoch = history["step"], len(history["dev_f1"])
            trained += sum(len(windows[row].owned_words) for row in order[report.step])
            speed = trained / (time.perf_counter() - began)
            display.steps(speed)
            if score is not None:
                if history["best_epoch"] == epoch:
                    checkpoint.save_best(started.state)
                display.epoch(step, epoch, score, speed)
            if score is not None or step % settings.checkpoint_steps == 0 or last:
                checkpoint.save(started.state, history)
            if last:
                break
    signal.signal(signal.SIGTERM, before)
    if terminated.is_set():  # perhaps after the last look at it: then the last epoch's end has been saved
        done = f"{history['step']} of {started.plan.steps}"
        print(f"stopped at step {done}; the same command goes on there", file=sys.stderr, flush=True)
        sys.exit(128 + signal.SIGTERM)
    if not history["best_f1"]:
        print("dev F1 is 0: nothing was learned; try a smaller train.lr or more epochs (docs/own-data.md)", flush=True)


def help_to_train(checkpoint: Checkpoint, bfloat16: bool) -> None:
    """What every process but the first does: the same training, of which it writes nothing."""
    settings = load()
    history = checkpoint.history()
    started = prepare_run(settings, bfloat16)
    if history["step"]:
        started.state.restore(checkpoint.tensors())
    for _ in train_epochs(started, settings.train, history, threading.Event()):
        pass
