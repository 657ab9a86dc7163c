"""Prepares a training run and trains it epoch by epoch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from fpplm_core.model import parallel
from fpplm_core.model.tagger import Tagger
from fpplm_core.training import self_training
from fpplm_core.training.averaging import averaged
from fpplm_core.training.batch import Batch
from fpplm_core.training.data import TrainingData, count_label_pairs, make_batch
from fpplm_core.training.history import TrainingHistory
from fpplm_core.training.length import patience_of, warmup_of
from fpplm_core.training.loop import StepReport, read_gradient_shares, read_losses, train_steps
from fpplm_core.training.selection import evaluate_on_dev
from fpplm_core.training.start import Start, load_modules
from fpplm_core.training.state import LoopSettings, TrainingState, initial_state
from fpplm_core.training.technique import Technique, build

if TYPE_CHECKING:
    from fpplm_core.training.settings import TechniqueSettings, TrainSettings

READ_EVERY = 20  # steps whose losses are read from a GPU together, because reading waits for it


class TrainingRun(NamedTuple):
    """A run before its first step; `encoder_sha256` is the digest of the pretrained encoder's weights.

    `start` is the model that it continues from, if any.
    """

    data: TrainingData
    state: TrainingState
    techniques: dict[str, Technique]
    settings: TrainSettings
    loop: LoopSettings
    encoder_sha256: str
    start: Start | None


class Progress(NamedTuple):
    """One finished step: its report, dev F1 if it ended an epoch, and whether training was interrupted after it."""

    report: StepReport
    dev_f1: float | None
    interrupted: bool


def prepare_run(
    tagger: Tagger,
    data: TrainingData,
    settings: TrainSettings,
    technique: TechniqueSettings,
    *,
    bfloat16: bool,
    encoder_sha256: str,
    start: Start | None,
) -> TrainingRun:
    """A run of a new tagger on its device, with the vocabulary of `data`; it already has the weights of `start`."""
    numbers, steps = settings.model_dump(include=set(LoopSettings.__dataclass_fields__)), data.steps
    loop = LoopSettings(**{**numbers, "warmup": warmup_of(settings, steps)}, steps=steps, bfloat16=bfloat16)
    techniques = build(technique.blocks())
    if data.unlabelled:
        techniques[self_training.NAME] = self_training.SelfTraining(**dict(settings.self_training))
    pairs = count_label_pairs(data.tags, len(data.blueprint.labels))
    state = initial_state(tagger, techniques, loop, pairs, unlabelled=bool(data.unlabelled))
    if start:
        load_modules(start, state, techniques)
    return TrainingRun(data, state, techniques, settings, loop, encoder_sha256, start)


def train_epochs(run: TrainingRun, history: TrainingHistory, interrupted: threading.Event) -> Iterator[Progress]:
    """Continues training from `history`, which it keeps up to date, until the last epoch.

    Once `interrupted` is set in one process, all finish the step; their callers then save and leave. Raises as
    `train_steps` does.
    """
    data, state, settings = run.data, run.state, run.settings
    if history.stopped:
        return
    read_every = 1 if state.device.type == "cpu" else READ_EVERY
    unread: list[StepReport] = []

    def labelled(step: int) -> Batch:
        return make_batch(data, data.rows(step))

    def unlabelled(step: int) -> Batch | None:
        rows = data.unlabelled_rows(step)
        return make_batch(data, rows) if rows else None

    for report in train_steps(state, labelled, run.techniques, run.loop, history.step, unlabelled):
        history.step = report.step + 1
        unread.append(report)
        last = parallel.any_process(interrupted.is_set())
        epoch_ends = history.step in data.epoch_ends
        saved = history.step % settings.checkpoint_steps == 0
        if epoch_ends or saved or len(unread) >= read_every or last:
            history.add_steps(unread[0].step, read_losses(unread), [one.lr for one in unread])
            history.gradient_shares += read_gradient_shares(unread)
            unread.clear()
        score = None
        if epoch_ends:
            with averaged(state.average, state.model, state.technique_modules):
                result = evaluate_on_dev(state, run.techniques, data.dev, settings, run.loop.bfloat16)
            logits, labels = torch.from_numpy(np.concatenate(result.logits)), data.dev.labels(data.blueprint.labels)
            for name, technique in run.techniques.items():
                technique.on_dev(logits, labels, state.modules(name))
            score = result.f1
            history.add_dev_score(score, patience_of(settings, len(data.epochs)))
            history.stopped |= history.step == run.loop.steps
        yield Progress(report, score, last)
        if history.stopped:
            return
