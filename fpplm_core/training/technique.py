"""The contract of a technique: what it sees of a step and what it may return.

A technique returns values, and the loop combines them by fixed rules: losses are summed, learning-rate factors multiply
(0 = frozen), inputs and hidden states have at most one owner. Nothing draws from the global random state: what a step
draws depends on (seed, step, name) alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.groups import Group
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.averaging import averaged, without_gradient
from fpplm_core.training.batch import IGNORED, Batch
from fpplm_core.training.own_class import own_class
from fpplm_core.training.randomness import derive_seed

if TYPE_CHECKING:
    from fpplm_core.settings import Settings


@dataclass(frozen=True)
class StepContext:
    """Where training stands, for one technique: `step` counts from 0.

    `rate` is the learning-rate schedule's factor in [0, 1]; `modules` are the technique's own, by the names that it
    gave them. Steps that are `in_frozen_phase` have cached hidden states, and the encoder does not run: a technique may
    return only losses on hidden states and logits. `clip` is what clipping multiplied the model's gradients by, known
    in `before_update` and `after_update` alone.
    """

    step: int
    total: int
    seed: int = 0
    technique: str = ""
    rate: float = 1.0
    modules: Mapping[str, Any] = field(default_factory=dict)
    in_frozen_phase: bool = False
    clip: Tensor | float = 1.0

    @property
    def progress(self) -> float:
        """step / total, in [0, 1[."""
        return self.step / self.total

    def ramp(self, start: float, end: float) -> float:
        """0 before the progress `start`, 1 from `end` on, linear in between."""
        if self.progress >= end:
            return 1.0
        return (self.progress - start) / (end - start) if self.progress > start else 0.0

    def generator(self, purpose: str, device: torch.device) -> torch.Generator:
        """Randomness that depends on (seed, step, technique, purpose) alone."""
        seed = derive_seed(self.seed, self.step, f"{self.technique}/{purpose}")
        return torch.Generator(device).manual_seed(seed)


@dataclass(frozen=True)
class StepOutputs:
    """What the model computed in one step; `clean` is the batch before any technique changed its inputs.

    *Shape:* hidden (batch, words, width), logits (batch, words, K) in float32.
    """

    model: Tagger
    clean: Batch
    batch: Batch
    hidden: Tensor
    logits: Tensor
    average: Mapping[str, Tensor]

    @property
    def counted(self) -> Tensor:
        """True where a label counts. *Shape:* (batch, words)."""
        return self.batch.labels != IGNORED

    @cached_property
    def teacher(self) -> Tensor:
        """Logits (batch, words, K) of the averaged weights on the clean batch, without noise and gradient."""
        with averaged(self.average, self.model) as model, without_gradient(self.clean.ids.device):
            clean = self.clean
            return model.classify(model.words(clean.ids, clean.mask, clean.types, clean.first_pieces))


class SecondGraph(NamedTuple):
    """A module to export, and examples of its inputs by name, each (2, 3, …) for a batch of windows of words."""

    module: nn.Module
    inputs: dict[str, Tensor]


Axes = tuple[Sequence[str], ...]  # names along the first axes of a tensor
Finding = float | dict[str, float] | list[dict[str, str | int | float]]


class Technique:
    """One part of training, which does not exist if it is switched off.

    A technique NAME is also a NAMESettings, so that the fields of its block in params.yaml are its attributes.
    Anything it must remember is a buffer of its `modules`, which are trained and checkpointed with the model.
    """

    def modules(self, model: Tagger, pairs: Tensor) -> dict[str, nn.Module]:
        """Modules of its own, trained at the head's rate; the exported graph leaves them out.

        `pairs` (K, K) says how often label b follows label a in the training split.
        """
        return {}

    def rates(self) -> dict[str, float]:
        """Learning rates of its modules as multiples of the head's rate, by name; 1 for those that it does not name."""
        return {}

    def label_axes(self, blueprint: Blueprint) -> dict[str, Axes]:
        """The names of rows, and of columns, that belong to labels or types, by `module.parameter` of its modules.

        A warm start finds an earlier run's rows by these names. It takes other parameters whole, and no other buffers.
        """
        return {}

    def unlabelled_modules(self, model: Tagger) -> dict[str, nn.Module]:
        """Further modules that it has in a run with unlabelled text."""
        return {}

    def learns_text(self, context: StepContext) -> bool:
        """Whether it learns from unlabelled text in this step even if self-training has the weight 0.

        It depends on the progress and the step alone; `context` has no modules.
        """
        return False

    def frozen_phase(self) -> int:
        """Most steps of the frozen phase before step 0, in which everything but the encoder trains; 0 = none."""
        return 0

    def initialise(self, hidden: Tensor, labels: Tensor, modules: Mapping[str, Any]) -> None:
        """Called before the frozen phase with the frozen encoder's states of words, and their labels or IGNORED.

        *Shape:* hidden (words, width), labels (words,).
        """

    def on_inputs(self, batch: Batch, model: Tagger, context: StepContext) -> Batch | None:
        """A batch to use in place of this one, or None; at most one technique may return one."""
        return None

    def on_hidden(self, hidden: Tensor, batch: Batch, model: Tagger, context: StepContext) -> Tensor | None:
        """Hidden states (batch, words, width) to use instead, or None; at most one technique may return them."""
        return None

    def losses(self, step: StepOutputs, context: StepContext) -> dict[str, Tensor]:
        """Scalars to add to the loss, by name; the loop reports one named "tag" as a part of the label loss."""
        return {}

    def on_unlabelled(self, batch: Batch, model: Tagger, context: StepContext) -> Batch:
        """The batch of unlabelled text as the model sees it while it learns its pseudo-labels.

        Each technique gets what the previous one returned.
        """
        return batch

    def trust(self, taught: StepOutputs, labels: Tensor, context: StepContext) -> Tensor | None:
        """True where it trusts these pseudo-labels of unlabelled text; None = everywhere.

        `taught` is the output of the averaged weights, without noise and gradient; in this call the technique's own
        modules have averaged weights too. *Shape:* labels and result (batch, words).
        """
        return None

    def unlabelled_losses(self, step: StepOutputs, context: StepContext) -> dict[str, Tensor]:
        """Scalars to add to the loss, by name, of a step on unlabelled text.

        The step's labels are the pseudo-labels that all techniques trust, and IGNORED elsewhere.
        """
        return {}

    def lr_scale(self, group: Group, context: StepContext) -> float:
        """Factor of a group's learning rate; 0 freezes it (no gradient, no decay, evaluation mode)."""
        return 1.0

    def sampled_scales(self, groups: Sequence[Group], context: StepContext) -> dict[str, float]:
        """Further factors of the learning rates of these groups, by name; no technique has frozen any of `groups`.

        0 leaves a group out of this step: it gets no gradient and no update, but its dropout stays on.
        """
        return {}

    def before_update(self, parameters: Mapping[str, nn.Parameter], context: StepContext) -> None:
        """Called with clipped gradients, before the optimizer; frozen parameters have gradient None."""

    def after_update(self, parameters: Mapping[str, nn.Parameter], context: StepContext) -> None:
        """Called after the optimizer, gradients still there; may change weights in place."""

    def on_dev(self, logits: Tensor, labels: Tensor, modules: Mapping[str, Any]) -> None:
        """Called at the end of each epoch with the logits of the averaged weights for dev's words, and their labels.

        *Shape:* logits (words, K), labels (words,).
        """

    def transitions(self, modules: Mapping[str, Any]) -> Tensor | None:
        """Scores (K, K) that the decoder adds to each pair of neighbouring labels; all techniques' are summed."""
        return None

    def label_bias(self, probabilities: Tensor, labels: Tensor) -> Tensor | None:
        """What to add to the head's bias (K,), given the tagger's probabilities of dev's words and their labels.

        It is added if it raises cross-validated dev F1 (`selection.correct_bias`). *Shape:* probabilities (words, K),
        labels (words,).
        """
        return None

    def phases(self, total: int) -> dict[str, tuple[float, float]]:
        """Its phases in a run of `total` steps: begin and end as shares of training, for the report."""
        return {}

    def second_graph(self, modules: Mapping[str, Any]) -> SecondGraph | None:
        """A graph that a bundle may carry beside the tagger; at most one technique may return one."""
        return None

    def findings(self, modules: Mapping[str, Any]) -> dict[str, Finding]:
        """Its measurements, for the report."""
        return {}


def build(blocks: Mapping[str, Settings]) -> dict[str, Technique]:
    """The techniques of these blocks, in their order: see `TechniqueSettings.blocks`.

    Raises FpplmError if a technique's module does not define one Technique class.
    """
    package = "fpplm_core.training.techniques"
    kinds = {name: own_class(importlib.import_module(f"{package}.{name}.technique"), Technique) for name in blocks}
    return {name: cast(Any, kinds[name])(**dict(block)) for name, block in blocks.items()}
