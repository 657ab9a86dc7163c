"""What has happened in a training run so far."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

MOST_ROWS = 10_000  # recorded steps: a checkpoint and the curves contain all of them


class DevScore(NamedTuple):
    """Dev's span F1 after `step` steps."""

    step: int
    f1: float


@dataclass
class TrainingHistory:
    """A run so far: losses and learning rates of every step whose number `every` divides, dev's F1 by epoch.

    `frozen` are dev's scores in the frozen phase, whose steps count separately. `gradient_shares` has each loss's share
    of the gradient norms in the top block, for every step that measured them. `best_epoch` counts from 1, 0 = none yet;
    `bfloat16` is None until the number format has been chosen.
    """

    step: int = 0
    every: int = 1
    losses: list[dict[str, float]] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    dev_f1: list[DevScore] = field(default_factory=list)
    frozen: list[DevScore] = field(default_factory=list)
    gradient_shares: list[dict[str, float]] = field(default_factory=list)
    best_f1: float = -1.0
    best_epoch: int = 0
    stopped: bool = False
    bfloat16: bool | None = None

    def limit_rows(self, steps: int) -> None:
        """Prepares for a run of this many steps, of which at most MOST_ROWS are recorded."""
        self.every = math.ceil(steps / MOST_ROWS)

    def add_steps(self, first: int, losses: Sequence[dict[str, float]], lr: Sequence[float]) -> None:
        """Records consecutive steps from number `first` on."""
        recorded = slice(-first % self.every, None, self.every)
        self.losses += losses[recorded]
        self.lr += lr[recorded]

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.dev_f1)

    def mean_gradient_shares(self) -> dict[str, float]:
        """Each loss's mean share over the measured steps in which it acts (its gradient is not 0); 0 if in none."""
        return {name: fmean(found) if found else 0.0 for name, found in self._shares_by_loss().items()}

    def acting_shares(self) -> dict[str, float]:
        """The share of the measured steps in which each loss acts."""
        return {name: len(found) / len(self.gradient_shares) for name, found in self._shares_by_loss().items()}

    def _shares_by_loss(self) -> dict[str, list[float]]:
        names = dict.fromkeys(name for shares in self.gradient_shares for name in shares)
        return {name: [shares[name] for shares in self.gradient_shares if shares.get(name)] for name in names}

    def add_dev_score(self, f1: float, patience: int) -> None:
        """Records the end of an epoch; stops the run after `patience` epochs without a better F1."""
        self.dev_f1.append(DevScore(self.step, f1))
        if f1 > self.best_f1:
            self.best_f1, self.best_epoch = f1, self.epoch
        self.stopped = self.epoch - self.best_epoch >= patience

    def to_json(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> TrainingHistory:
        """The inverse of `to_json`."""
        values = json.loads(text)
        scores = {name: [DevScore(*score) for score in values.get(name, [])] for name in ("dev_f1", "frozen")}
        return cls(**{**values, **scores})
