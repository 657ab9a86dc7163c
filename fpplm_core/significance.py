"""Whether one way of training is better than another: paired bootstrap over seeds and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.int64]  # (seeds, sentences, 3): true positives, false positives, false negatives


class Difference(NamedTuple):
    """Micro F1 of one arm less another's, mean over seeds: interval, two-sided p, and all resampled values."""

    mean: float
    low: float
    high: float
    p: float
    samples: NDArray[np.float64]

    def equivalent(self, margin: float, confidence: float = 0.95) -> bool:
        """Two one-sided tests (Schuirmann 1987): the interval at 2 · confidence − 1 lies inside ±margin."""
        low, high = np.quantile(self.samples, [1 - confidence, confidence])
        return bool(-margin < low and high < margin)


def mean_f1(table: Table) -> float:
    """Micro F1 of each seed, then the mean over seeds."""
    tp, fp, fn = np.moveaxis(table.sum(axis=1), 1, 0)
    return float(np.mean(2 * tp / np.maximum(1, 2 * tp + fp + fn)))


def difference(one: Table, other: Table, resamples: int = 2000, confidence: float = 0.95, seed: int = 0) -> Difference:
    """`one` less `other`, which share seeds and sentences.

    Each resample draws seeds and sentences with replacement, the same for both (Sellam 2022, 2106.16163).
    """
    if one.shape != other.shape:
        raise ValueError(f"arms must share seeds and sentences, got {one.shape} and {other.shape}")
    random = np.random.default_rng(seed)
    seeds, sentences, _ = one.shape
    samples = np.empty(resamples)
    for index in range(resamples):
        rows = random.integers(0, seeds, seeds)
        # How often each sentence was drawn, as weights: cheaper than copying rows.
        drawn = np.bincount(random.integers(0, sentences, sentences), minlength=sentences)
        scores = [_weighted_f1(table[rows], drawn) for table in (one, other)]
        samples[index] = scores[0] - scores[1]
    return summarise(mean_f1(one) - mean_f1(other), samples, confidence)


def _weighted_f1(table: Table, weights: NDArray[np.int64]) -> float:
    tp, fp, fn = np.einsum("snk,n->ks", table, weights)
    return float(np.mean(2 * tp / np.maximum(1, 2 * tp + fp + fn)))


def average(differences: Sequence[Difference], confidence: float = 0.95) -> Difference:
    """The mean over corpora of independent differences."""
    samples = np.mean([d.samples for d in differences], axis=0)
    return summarise(float(np.mean([d.mean for d in differences])), samples, confidence)


def summarise(mean: float, samples: NDArray[np.float64], confidence: float) -> Difference:
    low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2])
    tail = min(float(np.mean(samples <= 0)), float(np.mean(samples >= 0)))
    return Difference(mean, float(low), float(high), min(1.0, 2 * max(tail, 1 / len(samples))), samples)


def holm(values: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979), in the given order."""
    corrected = [0.0] * len(values)
    highest = 0.0
    for rank, (value, place) in enumerate(sorted((value, place) for place, value in enumerate(values))):
        highest = max(highest, min(1.0, (len(values) - rank) * value))
        corrected[place] = highest
    return corrected
