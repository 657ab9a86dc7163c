"""Runs a training: checkpoints, progress, signals and several processes."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import nullcontext

import torch

from fpplm.pipeline.paths import CORPUS, ENCODED, SCRATCH
from fpplm.pipeline.start import start_folder
from fpplm.session.checkpoint import Checkpoint
from fpplm.session.memory import keep_freed_memory
from fpplm.session.precision import choose_precision
from fpplm.session.processes import require_same_inputs
from fpplm.session.progress import Display
from fpplm_core.model import parallel, pretrained
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.settings import ModelSettings
from fpplm_core.tracking import track
from fpplm_core.training.data import load_data, restrict_vocabulary
from fpplm_core.training.frozen import train_frozen
from fpplm_core.training.history import TrainingHistory
from fpplm_core.training.leakage import require_unseen_by_encoder
from fpplm_core.training.run import TrainingRun, prepare_run, train_epochs
from fpplm_core.training.settings import TechniqueSettings, TrainSettings
from fpplm_core.training.start import (
    new_labels,
    read_start,
    require_same_encoder,
    require_unseen_by_start,
    untrained_tagger,
)
from fpplm_core.training.technique import build


def fit(
    model: ModelSettings,
    train: TrainSettings,
    technique: TechniqueSettings,
    checkpoint: Checkpoint,
    device: torch.device,
) -> tuple[TrainingRun, TrainingHistory]:
    """Trains from the checkpoint, or from the start, to the last epoch; the checkpoint keeps the best weights.

    All processes of the run call it; the first one alone reads and writes the checkpoint and shows the progress.
    On SIGTERM, the current step is finished and saved; then the process exits with 143, as shells report it.
    """
    first = parallel.rank() == 0
    if first and checkpoint.discard_damaged():
        print(f"{checkpoint.folder}: damaged, so removed; training starts from the beginning", flush=True)
    history = TrainingHistory.from_json(parallel.gather(checkpoint.history().to_json() if first else "")[0])
    run = start(model, train, technique, history.bfloat16, device)
    history.bfloat16 = run.loop.bfloat16
    history.limit_rows(run.loop.steps)
    if history.step:
        run.state.restore(parallel.broadcast_tensors(checkpoint.tensors() if first else {}))
    if first:
        threads = torch.get_num_threads()
        print(f"device {device.type}, {parallel.size()} × {threads} threads, {run.loop.precision}")
        if run.start:
            fresh = ", ".join(new_labels(run.start, run.data.blueprint))
            print(f"starts from {run.start.folder}" + (f"; new labels: {fresh}" if fresh else ""))
        print(f"{len(run.data.epochs)} epochs, {run.loop.steps} steps, warm-up in the first {run.loop.warmup:.0%}")
    train_and_save(run, checkpoint, history)
    return run, history


def start(
    model: ModelSettings,
    train: TrainSettings,
    technique: TechniqueSettings,
    bfloat16: bool | None,
    device: torch.device,
) -> TrainingRun:
    """Prepares this process's run on a device, from the outputs of read and encode.

    If `bfloat16` is None, measures which number format is faster. Raises DataError, also for a model.start that does
    not fit or an encoder that has seen dev or test, and EncoderError.
    """
    set_up_torch()
    require_unseen_by_encoder(model.encoder, CORPUS)
    folder = start_folder(model)
    warm = read_start(folder) if folder else None
    techniques = build(technique.blocks()).values()
    data = load_data(train, CORPUS, ENCODED, warm=warm is not None, techniques=techniques)
    encoder = pretrained.load_encoder(model.encoder, model.revision)
    encoder_sha256 = weights_sha256(encoder)
    require_same_inputs({"encoder": encoder_sha256})
    if warm:
        require_same_encoder(warm, encoder_sha256, ENCODED / "tokenizer.json")
        require_unseen_by_start(warm, CORPUS)
    tagger = untrained_tagger(encoder, data.blueprint, model, train.seed, data.descriptions, warm).to(device)
    [data] = restrict_vocabulary(tagger, data)
    if bfloat16 is None:
        bfloat16 = choose_precision(train, tagger, data)
    return prepare_run(tagger, data, train, technique, bfloat16=bfloat16, encoder_sha256=encoder_sha256, start=warm)


def set_up_torch() -> None:
    """Makes training deterministic, and keeps its memory from one step to the next."""
    keep_freed_memory()
    torch.use_deterministic_algorithms(True)
    # Filling only matters to code that reads uninitialised memory.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def train_and_save(run: TrainingRun, checkpoint: Checkpoint, history: TrainingHistory) -> None:
    """Continues training from `history`; the first process shows and saves the progress."""
    first = parallel.rank() == 0
    terminated = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    steps = run.loop.steps
    if first and history.step:
        print(f"resumed at step {history.step} of {steps}", flush=True)
    try:
        with Display(history) if first else nullcontext() as display:
            SCRATCH.mkdir(exist_ok=True)
            for score in train_frozen(run, history, SCRATCH):
                if display:
                    display.frozen(score)
                if parallel.any_process(terminated.is_set()):
                    terminated.set()  # the signal may have reached another process alone
                    break  # nothing to save: a resumed run repeats the phase
            else:
                _train_and_save_epochs(run, checkpoint, history, display, terminated)
    finally:
        signal.signal(signal.SIGTERM, before)
        if terminated.is_set():  # if set after the last check, the end of the last epoch has been saved
            if first:
                said = f"stopped at step {history.step} of {steps}; the same command resumes it"
                print(said, file=sys.stderr, flush=True)
            sys.exit(128 + signal.SIGTERM)
    if first and not history.best_f1:
        print("dev F1 is 0: nothing was learned; try a smaller train.lr or more epochs (docs/own-data.md)", flush=True)


def _train_and_save_epochs(
    run: TrainingRun,
    checkpoint: Checkpoint,
    history: TrainingHistory,
    display: Display | None,
    terminated: threading.Event,
) -> None:
    windows = run.data.windows
    began, words = time.perf_counter(), 0
    for progress in track(train_epochs(run, history, terminated), "steps", run.loop.steps - history.step, lambda _: 1):
        if display:
            words += sum(len(windows[row].owned_words) for row in run.data.rows(progress.report.step))
            if progress.dev_f1 is not None:
                display.epoch(words / (time.perf_counter() - began))
                if history.best_epoch == history.epoch:
                    checkpoint.save_best(run.state)
            due = history.step % run.settings.checkpoint_steps == 0
            if progress.dev_f1 is not None or due or progress.interrupted:
                checkpoint.save(run.state, history)
        if progress.interrupted:
            terminated.set()  # the signal may have reached another process alone
            break
