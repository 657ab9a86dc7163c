"""train: fine-tunes the encoder and writes the best averaged weights, build/model, with its decoder and curves."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from fpplm_core import parallel, params, pretrained, techniques
from fpplm_core.contract import Technique, averaged
from fpplm_core.model import Tagger, choose_device, fingerprint, initialise
from fpplm_core.params import ModelParams, Params, TrainParams
from fpplm_core.selection import Outcome, correct_bias, try_on_dev
from fpplm_core.training import Report, Settings, State, prepare, read, train_steps
from tasks import METRICS, MODEL, run, write_json, write_tensors
from tasks.checkpoint import Checkpoint, alone
from tasks.progress import CURVES, Display
from tasks.training_data import Data, keep_shown, load_data, make_batch

LOOK_EVERY = 20  # steps whose losses are read from a GPU together: reading waits for it


def main() -> None:
    with alone():
        train()


def train() -> None:
    settings = params.load()
    checkpoint = Checkpoint.of(settings.model_dump_json(include={"model", "encode", "train", "technique"}))
    if checkpoint.discard_damaged():
        print(f"{checkpoint.folder}: damaged, thrown away; training starts anew", flush=True)
    history = checkpoint.history()
    started = start(settings, history.get("bfloat16"))
    state, active, plan, data = started.state, started.active, started.plan, started.data
    history["bfloat16"] = plan.bfloat16
    precision = "bfloat16" if plan.bfloat16 else "float32"
    with parallel.together(settings.train.processes, started.device, help_to_train, checkpoint, plan.bfloat16):
        print(f"device {started.device.type}, {parallel.size()} × {torch.get_num_threads()} threads, {precision}")
        fit(started, settings.train, checkpoint, history)

    model = state.model
    state.average = {name: value.to(started.device) for name, value in checkpoint.best().items()}
    findings = {name: technique.findings(state.modules(name)) for name, technique in active.items()}
    phases = {name: technique.phases(len(data.order)) for name, technique in active.items()}
    with averaged(state.average, model, state.extras):
        outcome = look_at_dev(started, settings.train)
        outcome, corrected = correct_bias(model, active, data.dev, outcome)
        model.all_pieces()
        first = initialise(load_encoder(settings.model), data.blueprint, settings.model, settings.train.seed)
        findings["phases"] = {"learning rate": {"rises": (0.0, plan.warmup), "falls": (plan.warmup, 1.0)}} | phases
        findings["movement"] = movement(model, first)
        write_tensors(MODEL / "model.safetensors", model.state_dict())
        write_tensors(MODEL / "extras.safetensors", state.extras.state_dict())
        trained = fingerprint(model)
    write_json(MODEL / "blueprint.json", vars(data.blueprint))
    np.save(MODEL / "transitions.npy", outcome.scores)
    write_json(CURVES / "findings.json", findings)
    write_json(
        METRICS / "train.json",
        {
            "dev_f1": outcome.f1,
            "bias_corrected": corrected,
            "best_epoch": history["best_epoch"],
            "epochs": len(history["dev_f1"]),
            "steps": history["step"],
            "precision": precision,
            "threads": torch.get_num_threads(),
            "encoder_sha256": started.source,
            "model_sha256": trained,
        },
    )
    checkpoint.remove()


class Started(NamedTuple):
    """A run before its first step; `source` is the fingerprint of the pretrained encoder."""

    device: torch.device
    data: Data
    state: State
    active: dict[str, Technique]
    plan: Settings
    source: str


def start(settings: Params, bfloat16: bool | None) -> Started:
    """Loads and prepares everything; without a number format that is settled, chooses one."""
    keep_freed_memory()
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # only matters to code that reads such memory
    device = choose_device(settings.train.device, parallel.rank(), settings.train.processes)
    data = load_data(settings.train)
    encoder = load_encoder(settings.model)
    source = fingerprint(encoder)
    model = initialise(encoder, data.blueprint, settings.model, settings.train.seed).to(device)
    data = keep_shown(model, data)
    if bfloat16 is None:
        bfloat16 = choose_precision(settings.train, model, data)
    numbers = settings.train.model_dump(include=set(Settings.__dataclass_fields__))
    plan = Settings(**numbers, steps=len(data.order), bfloat16=bfloat16)
    active = techniques.build(settings.technique)
    return Started(device, data, prepare(model, active, plan), active, plan, source)


def keep_freed_memory() -> None:
    """Has glibc keep what is freed: a step needs the sizes of the last one, and new pages cost a tenth of its time."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc alone has it; its numbers for the two are those of malloc.h
        mmap_threshold, trim_threshold = -3, -1
        libc.mallopt(mmap_threshold, 32 * 2**20)  # bytes; the most that it takes
        libc.mallopt(trim_threshold, 2**31 - 1)


def load_encoder(settings: ModelParams) -> Any:
    return pretrained.load_encoder(settings.encoder, settings.revision, settings.attention)


def choose_precision(settings: TrainParams, model: Tagger, data: Data) -> bool:
    """True for bfloat16: as asked, or where forward and backward passes are measured at least 1.2 times as fast."""
    if settings.precision != "auto":
        return settings.precision == "bfloat16"
    device = next(model.parameters()).device
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    batch = make_batch(data, data.epochs[0][0])
    seconds: dict[bool, list[float]] = {False: [], True: []}
    model.eval()
    for _ in range(6):  # interleaved; the first pair is a warm-up, enough to see bfloat16 that is only emulated
        for kind, taken in seconds.items():
            began = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=kind):
                model.classify(model.encode(batch.ids, batch.mask, batch.types)).sum().backward()
            taken.append(time.perf_counter() - began)
            model.zero_grad(set_to_none=True)
        if seconds[True][0] > 5 * seconds[False][0]:
            return False
    return min(seconds[False]) > 1.2 * min(seconds[True])  # other work on the machine can only make a step longer


def fit(started: Started, settings: TrainParams, checkpoint: Checkpoint, history: dict[str, Any]) -> None:
    """Trains on from where `history` stands; shows and saves what happens.

    SIGTERM has the step finished and saved; then the process ends with the code that a shell gives for it.
    """
    terminated = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    windows, order = started.data.windows, started.data.order
    if history["step"]:
        started.state.restore(checkpoint.tensors())
        print(f"going on from step {history['step']} of {started.plan.steps}", flush=True)
    with Display(started.plan.steps, history) as display:
        began, trained = time.perf_counter(), 0
        for report, score, last in follow(started, settings, history, terminated):
            step, epoch = history["step"], len(history["dev_f1"])
            trained += sum(len(windows[row].words) for row in order[report.step])
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


def follow(
    started: Started, settings: TrainParams, history: dict[str, Any], terminated: threading.Event
) -> Iterator[tuple[Report, float | None, bool]]:
    """Trains on and keeps the history: a step's report, dev's F1 where an epoch ends, whether it was `terminated`."""
    data, state, plan = started.data, started.state, started.plan
    if history["stopped"]:
        return
    look = 1 if started.device.type == "cpu" else LOOK_EVERY
    unread: list[Report] = []
    steps = train_steps(state, lambda n: make_batch(data, data.order[n]), started.active, plan, history["step"])
    for report in steps:
        step = report.step + 1
        history["step"] = step
        unread.append(report)
        last = terminated.is_set()
        if step in data.ends or step % settings.checkpoint_steps == 0 or len(unread) >= look or last:
            history["losses"] += read(unread)
            history["lr"] += [one.lr for one in unread]
            unread.clear()
        score = None
        if step in data.ends:
            with averaged(state.average, state.model, state.extras):
                score = look_at_dev(started, settings).f1
            history["dev_f1"].append([step, score])
            epoch = len(history["dev_f1"])
            if score > history["best_f1"]:
                history["best_f1"], history["best_epoch"] = score, epoch
            history["stopped"] = epoch - history["best_epoch"] >= settings.patience or step == plan.steps
        yield report, score, last
        if history["stopped"]:
            return


def look_at_dev(started: Started, settings: TrainParams) -> Outcome:
    budget = 4 * settings.batch_pieces
    return try_on_dev(started.state, started.active, started.data.dev, budget, settings.lean, started.plan.bfloat16)


def help_to_train(checkpoint: Checkpoint, bfloat16: bool) -> None:
    """What every process but the first does: the same training, of which it writes nothing."""
    settings = params.load()
    history = checkpoint.history()
    started = start(settings, bfloat16)
    if history["step"]:
        started.state.restore(checkpoint.tensors())
    for _ in follow(started, settings.train, history, threading.Event()):
        pass


@torch.no_grad()
def movement(model: Tagger, first: Tagger) -> list[dict[str, Any]]:
    """How far each group of weights went: ‖θ − θ0‖ / ‖θ0‖."""
    before = dict(first.named_parameters())
    rows = []
    for group in model.groups():
        moved = sum(float((p.cpu() - before[name]).square().sum()) for name, p in group.parameters.items())
        size = sum(float(before[name].square().sum()) for name in group.parameters)
        rows.append({"group": group.name, "relative_change": (moved / size) ** 0.5})
    return rows


if __name__ == "__main__":
    run(main)
