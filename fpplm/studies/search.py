"""Random search with pruning: the values of each trial, drawn by Optuna, and whether a running trial is pruned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from fpplm.studies.plan import Changes, Range, Search

SEED = 1  # of the draws
FIRST_EPOCH = 3  # after which a trial may be pruned
FIRST_SHARE = 0.25  # of its epochs, likewise: a long run is still at its peak rate when a short one is nearly done
RIVALS = 2  # other trials of the same arm and corpus that must have finished as many epochs


def draw(search: Search) -> list[Changes]:
    """The values of each trial, in order (random search, Bergstra & Bengio 2012). The same search draws the same."""
    import optuna

    space: dict[str, optuna.distributions.BaseDistribution] = {}
    for name, values in search.space.items():
        if isinstance(values, Range):
            space[name] = optuna.distributions.FloatDistribution(values.low, values.high, log=True)
        else:
            space[name] = optuna.distributions.CategoricalDistribution(values)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=SEED))
    drawn = [study.ask(space).params for _ in range(search.trials)]
    rounded = [{name: short(value) for name, value in values.items()} for values in drawn]
    return [{}, *rounded] if search.present else rounded


def short(value: Any) -> Any:
    """A drawn number with three digits, which people can read and copy."""
    return float(f"{value:.2e}") if isinstance(value, float) else value


def falls_behind(curve: Sequence[float], train: dict[str, Any], others: Iterable[Sequence[float]]) -> bool:
    """Whether to prune a trial: its best dev F1 is below the median of the others after as many epochs.

    `curve` and `others` are dev F1 by epoch; `train` is that section of the trial's params.yaml, where `auto` counts
    as 0. No trial is pruned during its warm-up, before a quarter of its epochs, or before two others have come as far.
    """
    epochs, warmup = (value if isinstance(value, int | float) else 0 for value in (train["epochs"], train["warmup"]))
    if len(curve) < max(FIRST_EPOCH, math.ceil(epochs * max(FIRST_SHARE, warmup))):
        return False
    rivals = [other[len(curve) - 1] for other in others if len(other) >= len(curve)]
    return len(rivals) >= RIVALS and max(curve) < median(rivals)
