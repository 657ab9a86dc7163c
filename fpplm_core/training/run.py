"""A training run: prepared, trained epoch by epoch, evaluated on dev."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from fpplm.session.memory import keep_freed_memory
from fpplm.session.precision import choose_precision
from fpplm_core.model import parallel, pretrained
from fpplm_core.model.device import choose_device
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.settings import ModelSettings
from fpplm_core.model.tagger import Tagger, initialise
from fpplm_core.params import Params
from fpplm_core.training import techniques
from fpplm_core.training.averaging import averaged
from fpplm_core.training.data import TrainingData, restrict_vocabulary, load_data, make_batch
from fpplm_core.training.loop import StepReport, read_losses, train_steps
from fpplm_core.training.selection import DevResult, evaluate_on_dev
from fpplm_core.training.settings import TrainSettings
from fpplm_core.training.state import LoopSettings, TrainingState, initial_state
from fpplm_core.training.technique import Technique

LOOK_EVERY = 20  # steps whose losses are read from a GPU together: reading waits for it


class TrainingRun(NamedTuple):
    """A run before its first step; `source` is the fingerprint of the pretrained encoder."""

    device: torch.device
    data: TrainingData
    state: TrainingState
    active: dict[str, Technique]
    plan: LoopSettings
    source: str


def prepare_run(settings: Params, bfloat16: bool | None) -> TrainingRun:
    """Loads and prepares everything; without a number format that is settled, chooses one."""
    keep_freed_memory()
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # only matters to code that reads such memory
    device = choose_device(settings.train.device, parallel.rank(), settings.train.processes)
    data = load_data(settings.train)
    encoder = load_encoder(settings.model)
    source = weights_sha256(encoder)
    model = initialise(encoder, data.blueprint, settings.model, settings.train.seed).to(device)
    data = restrict_vocabulary(model, data)
    if bfloat16 is None:
        bfloat16 = choose_precision(settings.train, model, data)
    numbers = settings.train.model_dump(include=set(LoopSettings.__dataclass_fields__))
    plan = LoopSettings(**numbers, steps=len(data.batches_by_step), bfloat16=bfloat16)
    active = techniques.build(settings.technique)
    return TrainingRun(device, data, initial_state(model, active, plan), active, plan, source)


def load_encoder(settings: ModelSettings) -> Any:
    return pretrained.load_encoder(settings.encoder, settings.revision, settings.attention)


def train_epochs(
    started: TrainingRun, settings: TrainSettings, history: dict[str, Any], terminated: threading.Event
) -> Iterator[tuple[StepReport, float | None, bool]]:
    """Trains on and keeps the history: a step's report, dev's F1 where an epoch ends, whether it was `terminated`."""
    data, state, plan = started.data, started.state, started.plan
    if history["stopped"]:
        return
    look = 1 if started.device.type == "cpu" else LOOK_EVERY
    unread: list[StepReport] = []
    steps = train_steps(state, lambda n: make_batch(data, data.batches_by_step[n]), started.active, plan, history["step"])
    for report in steps:
        step = report.step + 1
        history["step"] = step
        unread.append(report)
        last = terminated.is_set()
        if step in data.epoch_ends or step % settings.checkpoint_steps == 0 or len(unread) >= look or last:
            history["losses"] += read_losses(unread)
            history["lr"] += [one.lr for one in unread]
            unread.clear()
        score = None
        if step in data.epoch_ends:
            with averaged(state.average, state.model, state.technique_modules):
                score = look_at_dev(started, settings).f1
            history["dev_f1"].append([step, score])
            epoch = len(history["dev_f1"])
            if score > history["best_f1"]:
                history["best_f1"], history["best_epoch"] = score, epoch
            history["stopped"] = epoch - history["best_epoch"] >= settings.patience or step == plan.steps
        yield report, score, last
        if history["stopped"]:
            return


def look_at_dev(started: TrainingRun, settings: TrainSettings) -> DevResult:
    budget = 4 * settings.batch_pieces
    return evaluate_on_dev(started.state, started.active, started.data.dev, budget, settings.f1_shift, started.plan.bfloat16)


@torch.no_grad()
def group_movement(model: Tagger, first: Tagger) -> list[dict[str, Any]]:
    """How far each group of weights went: ‖θ − θ0‖ / ‖θ0‖."""
    before = dict(first.named_parameters())
    rows = []
    for group in model.groups():
        moved = sum(float((p.cpu() - before[name]).square().sum()) for name, p in group.parameters.items())
        size = sum(float(before[name].square().sum()) for name in group.parameters)
        rows.append({"group": group.name, "relative_change": (moved / size) ** 0.5})
    return rows
