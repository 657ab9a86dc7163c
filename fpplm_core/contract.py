"""The contract of a technique: what it is shown of a step, what it may give back, and what all of them share.

A technique returns values and the loop (`training`) combines them by fixed rules: losses are summed, learning-rate
factors multiply (0 = frozen), inputs and hidden states have at most one owner. Nothing draws from the global random
state: what a step draws depends on (seed, step, name) alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from fpplm_core.model import Group, Tagger

IGNORED = -100


class Batch(NamedTuple):
    """*Shape:* ids, mask, types (batch, pieces); first, owned, labels, second (batch, words).

    `labels` are IGNORED where there is no owned word, and in windows that only the second task has labels for;
    `second` has that task's, None without one.
    """

    ids: Tensor
    mask: Tensor
    types: Tensor
    first: Tensor
    owned: Tensor
    labels: Tensor
    second: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; from pinned memory to a GPU, so that the copy waits for nothing."""
        pinned = (t.pin_memory() if t is not None and device.type == "cuda" else t for t in self)
        return Batch._make(None if tensor is None else tensor.to(device, non_blocking=True) for tensor in pinned)


@dataclass(frozen=True)
class Clock:
    """Where training stands, for the technique that is asked: `step` counts from 0.

    `rate` is the learning-rate schedule's factor in [0, 1]; `modules` are those that the technique has made, by the
    names that it gave them.
    """

    step: int
    total: int
    seed: int = 0
    technique: str = ""
    rate: float = 1.0
    modules: Mapping[str, Any] = field(default_factory=dict)

    @property
    def progress(self) -> float:
        """step / total, in [0, 1[."""
        return self.step / self.total

    def ramp(self, start: float, end: float) -> float:
        """0 before the progress `start`, 1 from `end` on, a line between."""
        if self.progress >= end:
            return 1.0
        return (self.progress - start) / (end - start) if self.progress > start else 0.0

    def generator(self, purpose: str, device: torch.device) -> torch.Generator:
        """Randomness that depends on (seed, step, technique, purpose) alone."""
        seed = derive_seed(self.seed, self.step, f"{self.technique}/{purpose}")
        return torch.Generator(device).manual_seed(seed)


@dataclass(frozen=True)
class Step:
    """What techniques see of one step; `clean` is the batch before any technique changed its inputs.

    *Shape:* hidden (batch, words, width), logits (batch, words, K) in float32.
    """

    model: Tagger
    clean: Batch
    batch: Batch
    hidden: Tensor
    logits: Tensor
    average: Mapping[str, Tensor]

    @property
    def owned(self) -> Tensor:
        """True where a label counts. *Shape:* (batch, words)."""
        return self.batch.labels != IGNORED

    @cached_property
    def teacher(self) -> Tensor:
        """Logits (batch, words, K) of the averaged weights on the clean batch, without noise and gradient."""
        with averaged(self.average, self.model) as model, without_gradient(self.clean.ids.device):
            hidden = model.words(model.encode(self.clean.ids, self.clean.mask, self.clean.types), self.clean.first)
            return model.classify(hidden)


class SecondGraph(NamedTuple):
    """A module to export, and examples of its inputs by name, each (2, 3, …) for a batch of windows of words."""

    module: nn.Module
    inputs: dict[str, Tensor]


class Technique(BaseModel):
    """One switchable part of training. Its fields are its block in params.yaml; off means absent.

    Anything it must remember is a buffer of its `modules`, which are trained and checkpointed with the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def modules(self, model: Tagger) -> dict[str, nn.Module]:
        """Modules of its own, trained at the head's rate; they are left out of the exported graph."""
        return {}

    def on_inputs(self, batch: Batch, model: Tagger, clock: Clock) -> Batch | None:
        """Another batch in place of this one, or None; at most one technique may give one."""
        return None

    def on_hidden(self, hidden: Tensor, batch: Batch, model: Tagger, clock: Clock) -> Tensor | None:
        """Other hidden states (batch, words, width), or None; at most one technique may give them."""
        return None

    def losses(self, step: Step, clock: Clock) -> dict[str, Tensor]:
        """Scalars to add to the loss, by name."""
        return {}

    def lr_scale(self, group: Group, clock: Clock) -> float:
        """Factor of a group's learning rate; 0 freezes it (no gradient, no decay, evaluation mode)."""
        return 1.0

    def before_update(self, parameters: Mapping[str, nn.Parameter], clock: Clock) -> None:
        """Called with clipped gradients, before the optimizer; frozen parameters have gradient None."""

    def after_update(self, parameters: Mapping[str, nn.Parameter], clock: Clock) -> None:
        """Called after the optimizer, gradients still there; may change weights in place."""

    def transitions(self, modules: Mapping[str, Any]) -> Tensor | None:
        """Scores (K, K) that the decoder adds to each pair of neighbouring labels; all techniques' are summed."""
        return None

    def label_bias(self, probabilities: Tensor, labels: Tensor) -> Tensor | None:
        """What to add to the head's bias (K,), given p_A of dev's words (words, K) and their labels (words,).

        Taken where it does not lower dev F1.
        """
        return None

    def phases(self, total: int) -> dict[str, tuple[float, float]]:
        """From when to when it does what in a run of `total` steps, as shares of training: for the report."""
        return {}

    def second_graph(self, modules: Mapping[str, Any]) -> SecondGraph | None:
        """What a bundle may carry beside the tagger; at most one technique may give one."""
        return None

    def findings(self, modules: Mapping[str, Any]) -> dict[str, Any]:
        """What it has measured, for the report: plain values."""
        return {}


def tag_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labels that count. *Shape:* (batch, words, K), (batch, words)."""
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


def derive_seed(seed: int, step: int, name: str) -> int:
    """63 bits that depend on all three."""
    digest = hashlib.blake2b(f"{seed}/{step}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Runs torch's global generators from `seed`, and puts them back."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def without_gradient(device: torch.device) -> Iterator[None]:
    """A look aside in a step: no gradient, and nothing of it in autocast's cache.

    That cache would lend weights that were cast without a gradient to the pass that needs one, and the current weights
    to the pass with averaged ones.
    """
    enabled = torch.is_autocast_enabled(device.type)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=enabled, cache_enabled=False):
        yield


@contextmanager
def averaged(average: Mapping[str, Tensor], model: Tagger, extras: nn.ModuleDict | None = None) -> Iterator[Tagger]:
    """Model and extras in evaluation mode with their averaged weights; afterwards all is as it was."""
    modes = {module: module.training for root in (model, extras) if root is not None for module in root.modules()}
    current = dict(model.named_parameters())
    current |= dict(extras.named_parameters(prefix="extras")) if extras is not None else {}
    own = {name: current[name].data for name in average if name in current}
    for name in own:
        current[name].data = average[name]
    for module in modes:
        module.training = False
    try:
        yield model
    finally:
        for name, data in own.items():
            current[name].data = data
        for module, training in modes.items():
            module.training = training
