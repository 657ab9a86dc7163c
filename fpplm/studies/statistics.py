"""Statistics of final runs: differences of F1 with intervals over seeds and documents, and the spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fpplm_core.evaluation.metrics import SentenceCounts, f1_of_sums

RESAMPLES = 2000
CONFIDENCE = 0.95


class Effect(NamedTuple):
    """A difference of micro F1, its interval, and the two-sided p of no difference."""

    mean: float
    low: float
    high: float
    p: float


class Spread(NamedTuple):
    """A standard deviation over seeds and its interval."""

    deviation: float
    low: float
    high: float


Pair = tuple[SentenceCounts, SentenceCounts]  # candidate, baseline: (seeds, units, 3) of the same seeds and units


def effect(pairs: Sequence[Pair], resamples: int = RESAMPLES, seed: int = 0) -> Effect:
    """The mean difference, candidate − baseline, over corpora; each pair has the counts on one corpus.

    The interval and p use Student's t with the variance from `variances`, and degrees of freedom from the numbers of
    seeds and units (Satterthwaite 1946). Raises ValueError if the two of a pair differ in seeds or units, or have
    one unit, which has no variance.
    """
    from scipy.stats import t

    random = np.random.default_rng(seed)
    means, total, precision = [], 0.0, 0.0
    for candidate, baseline in pairs:
        if candidate.shape != baseline.shape:
            raise ValueError(f"arms must share seeds and units, got {candidate.shape} and {baseline.shape}")
        seeds, units, _ = candidate.shape
        if units < 2:
            raise ValueError("an interval needs two units, documents or sentences")
        means.append(float(np.mean(f1_of_sums(candidate.sum(axis=1)) - f1_of_sums(baseline.sum(axis=1)))))
        of_seeds, of_units = variances(candidate, baseline, resamples, random)
        total += of_seeds + of_units
        precision += of_seeds**2 / max(1, seeds - 1) + of_units**2 / (units - 1)
    mean, error = float(np.mean(means)), float(np.sqrt(total)) / len(pairs)
    if error == 0:
        return Effect(mean, mean, mean, float(mean == 0))
    freedom = total**2 / precision
    width = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return Effect(mean, mean - width, mean + width, float(2 * t.sf(abs(mean) / error, freedom)))


def variances(
    candidate: SentenceCounts, baseline: SentenceCounts, resamples: int, random: np.random.Generator
) -> tuple[float, float]:
    """The variance of the mean difference due to the seeds, and due to the units (documents, or sentences).

    The crossed bootstrap resamples seeds and units together, one fewer than there are, because resampling all of a few
    underestimates their variance (Rao & Wu 1988). It counts the variance that depends on both three times (Owen 2007,
    0711.2405), twice too often; the variances due to seeds alone and to units alone show how large this part is. Their
    sum is never below the variance due to the units, which two or three seeds could otherwise hide. With one seed, only
    units are resampled, and the variance due to seeds is 0.
    """
    seeds, units, _ = candidate.shape
    drawn = random.multinomial(units - 1, np.full(units, 1 / units), resamples).astype(np.float64)
    rows = random.multinomial(max(1, seeds - 1), np.full(seeds, 1 / seeds), resamples) / max(1, seeds - 1)
    new, old = (f1_of_sums(np.tensordot(drawn, arm.astype(np.float64), (1, 1))) for arm in (candidate, baseline))
    of_units = float(np.var((new - old).mean(axis=1), ddof=1))
    if seeds == 1:
        return 0.0, of_units
    by_seed = f1_of_sums(candidate.sum(axis=1)) - f1_of_sums(baseline.sum(axis=1))
    of_seeds = float(np.var(by_seed, ddof=1)) / seeds
    crossed = float(np.var(((new - old) * rows).sum(axis=1), ddof=1))
    of_both = max(0.0, crossed - of_seeds - of_units)
    return of_seeds, of_units - min(of_units, of_both, of_seeds)


def spread(groups: Sequence[Sequence[float]]) -> Spread | None:
    """The standard deviation within groups (the seeds of a corpus), pooled over them; None if no group has two."""
    from scipy.stats import chi2

    freedom = sum(len(group) - 1 for group in groups)
    if freedom == 0:
        return None
    squares = sum(float(np.var(group)) * len(group) for group in groups)
    ends = chi2.ppf([(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2], freedom)
    low, high = np.sqrt(squares / ends)
    return Spread(float(np.sqrt(squares / freedom)), float(low), float(high))
