"""Random search with early stopping, by Optuna: what is drawn, and which trial is given up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from fpplm.studies.plan import Changes, Range, Search

SEED = 1  # of the draws
FIRST_EPOCH = 3  # after which a trial may be given up
FIRST_SHARE = 0.25  # of its epochs, likewise: a long run is still at its full rate when a short one has settled
RIVALS = 2  # trials of the same arm and corpus that must have come as far


def draw(search: Search) -> list[Changes]:
    """The values of each trial. The same search gives the same draws (Bergstra & Bengio 2012)."""
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


def is_hopeless(curve: Sequence[float], train: dict[str, Any], others: Iterable[Sequence[float]]) -> bool:
    """Whether a trial is given up: its best dev F1 is below the median of the others after as many epochs.

    `curve` and `others` are dev F1 by epoch; `train` is that section of the trial's params.yaml. No trial is given up
    while its rate still rises, before a quarter of its epochs, or before two others have come as far.
    """
    import optuna
    from optuna.trial import TrialState, create_trial

    epochs, warmup = (value if isinstance(value, int | float) else 0 for value in (train["epochs"], train["warmup"]))
    if len(curve) < max(FIRST_EPOCH, math.ceil(epochs * max(FIRST_SHARE, warmup))):
        return False
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=RIVALS, n_min_trials=RIVALS)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.add_trials([create_trial(value=max(other), intermediate_values=by_epoch(other)) for other in others if other])
    return bool(pruner.prune(study, create_trial(state=TrialState.RUNNING, intermediate_values=by_epoch(curve))))


def by_epoch(curve: Sequence[float]) -> dict[int, float]:
    return dict(enumerate(curve, start=1))
