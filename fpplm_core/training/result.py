"""The results of a training run: the best averaged weights with their decoder, and all measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fpplm_core.files import write_record, write_tensors
from fpplm_core.model.blueprint import BLUEPRINT, EXTRAS, TRANSITIONS, WEIGHTS
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.averaging import averaged
from fpplm_core.training.history import DevScore, TrainingHistory
from fpplm_core.training.run import TrainingRun
from fpplm_core.training.selection import DevResult, correct_bias, evaluate_on_dev
from fpplm_core.training.technique import Finding

Phases = dict[str, tuple[float, float]]  # begin and end as shares of training, by name


@dataclass(frozen=True)
class GroupMovement:
    """How far a group of weights moved from the pretrained ones: ‖θ − θ0‖ / ‖θ0‖."""

    group: str
    relative_change: float


@dataclass(frozen=True)
class FrozenPhase:
    """The frozen phase before step 0: its number of steps, the best dev F1 (training continues from there), and all."""

    steps: int
    dev_f1: float
    dev_f1_by_step: list[DevScore]


@dataclass(frozen=True)
class TrainingFindings:
    """The measurements and phases of each technique, and how far the weights moved.

    `gradient_share` is each loss's mean share of the gradient norms in the encoder's top block, over the measured steps
    in which it acts (it has a gradient there); `acting_share` is the share of such steps among the measured ones.
    """

    techniques: dict[str, dict[str, Finding]]
    phases: dict[str, Phases]
    movement: list[GroupMovement]
    frozen_phase: FrozenPhase | None
    gradient_share: dict[str, float]
    acting_share: dict[str, float]

    def to_dict(self) -> dict[str, object]:
        """The content of findings.json: a key for each technique, then the other fields."""
        values = asdict(self)
        return {**values.pop("techniques"), **values}


@dataclass(frozen=True)
class TrainMetrics:
    """The content of metrics/train.json; `bias_corrected` says by technique whether its label bias was taken."""

    dev_f1: float
    bias_corrected: dict[str, bool]
    best_epoch: int
    epochs: int
    steps: int
    precision: str
    threads: int
    encoder_sha256: str
    model_sha256: str


class TrainingResult(NamedTuple):
    metrics: TrainMetrics
    findings: TrainingFindings


def finish_run(
    run: TrainingRun, history: TrainingHistory, best: Mapping[str, Tensor], untrained: Tagger, folder: Path
) -> TrainingResult:
    """Evaluates the best averaged weights, corrects the head's bias, and writes the tagger to `folder`.

    `best` are the weights that `TrainingState.average` had at the best epoch; `untrained` is the tagger before
    training, on the CPU. Raises StorageError and OSError.
    """
    state, model, blueprint = run.state, run.state.model, run.data.blueprint
    state.average = {name: value.to(state.device) for name, value in best.items()}
    with averaged(state.average, model, state.technique_modules):
        dev = evaluate_on_dev(state, run.techniques, run.data.dev, run.settings, run.loop.bfloat16)
        dev, corrected = correct_bias(model, run.techniques, run.data.dev, dev)
        model.restore_vocabulary()
        findings = {name: technique.findings(state.modules(name)) for name, technique in run.techniques.items()}
        movement = group_movement(model, untrained)
        write_tensors(folder / WEIGHTS, model.state_dict())
        write_tensors(folder / EXTRAS, state.technique_modules.state_dict())
        model_sha256 = weights_sha256(model)
    write_record(folder / BLUEPRINT, blueprint)
    np.save(folder / TRANSITIONS, dev.decoder.scores)
    return TrainingResult(
        _metrics(run, history, dev, corrected, model_sha256),
        TrainingFindings(
            findings,
            phases_of(run),
            movement,
            _frozen_phase(history),
            history.mean_gradient_shares(),
            history.acting_shares(),
        ),
    )


def _frozen_phase(history: TrainingHistory) -> FrozenPhase | None:
    scores = history.frozen
    return FrozenPhase(scores[-1].step, max(score.f1 for score in scores), scores) if scores else None


def _metrics(
    run: TrainingRun, history: TrainingHistory, dev: DevResult, corrected: dict[str, bool], model_sha256: str
) -> TrainMetrics:
    return TrainMetrics(
        dev_f1=dev.f1,
        bias_corrected=corrected,
        best_epoch=history.best_epoch,
        epochs=history.epoch,
        steps=history.step,
        precision=run.loop.precision,
        threads=torch.get_num_threads(),
        encoder_sha256=run.encoder_sha256,
        model_sha256=model_sha256,
    )


def phases_of(run: TrainingRun) -> dict[str, Phases]:
    """The phases of the learning rate and of each technique, as shares of training."""
    warmup = run.loop.warmup
    rates: Phases = {"rises": (0.0, warmup), "falls": (warmup, 1.0)}
    return {"learning rate": rates} | {name: t.phases(run.loop.steps) for name, t in run.techniques.items()}


@torch.no_grad()
def group_movement(model: Tagger, untrained: Tagger) -> list[GroupMovement]:
    """How far training has moved the weights of each group, from the head down."""
    before = dict(untrained.named_parameters())
    rows = []
    for group in model.groups():
        moved = sum(float((p.cpu() - before[name]).square().sum()) for name, p in group.parameters.items())
        size = sum(float(before[name].square().sum()) for name in group.parameters)
        rows.append(GroupMovement(group.name, (moved / size) ** 0.5))
    return rows
