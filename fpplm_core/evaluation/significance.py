"""Whether one tagger, or one way of training, is better than another: paired tests over sentences and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpplm_core.evaluation.metrics import SentenceCounts


class Difference(NamedTuple):
    """Micro F1 of the candidate less the baseline's, mean over seeds: interval and two-sided p."""

    mean: float
    low: float
    high: float
    p: float


def mean_f1(counts: SentenceCounts) -> float:
    """Micro F1 of each seed, then the mean over seeds. *Shape:* (seeds, sentences, 3)."""
    return float(np.mean(_f1(counts.sum(axis=1))))


def _f1(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Micro F1 of counts (..., 3), 0 where there is nothing to find and nothing found."""
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    return np.asarray(2 * tp / np.maximum(1, 2 * tp + fp + fn))


def difference(
    candidate: SentenceCounts,
    baseline: SentenceCounts,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """`candidate` less `baseline`, which share seeds and sentences.

    Each resample draws seeds and sentences with replacement, the same for both (Sellam 2022, 2106.16163).
    *Shape:* (seeds, sentences, 3) both. Raises ValueError if the shapes differ.
    """
    if candidate.shape != baseline.shape:
        raise ValueError(f"arms must share seeds and sentences, got {candidate.shape} and {baseline.shape}")
    random = np.random.default_rng(seed)
    seeds, sentences, _ = candidate.shape
    samples = np.empty(resamples)
    for index in range(resamples):
        rows = random.integers(0, seeds, seeds)
        # How often each sentence was drawn, as weights: cheaper than copying rows.
        drawn = np.bincount(random.integers(0, sentences, sentences), minlength=sentences)
        new, old = (float(np.mean(_f1(np.einsum("snk,n->sk", arm[rows], drawn)))) for arm in (candidate, baseline))
        samples[index] = new - old
    low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2])
    tail = min(float(np.mean(samples <= 0)), float(np.mean(samples >= 0)))
    mean = mean_f1(candidate) - mean_f1(baseline)
    return Difference(mean, float(low), float(high), min(1.0, 2 * max(tail, 1 / len(samples))))


def permutation_p(candidate: SentenceCounts, baseline: SentenceCounts, resamples: int = 10_000, seed: int = 0) -> float:
    """Two-sided p of the difference in micro F1: approximate randomisation (Noreen 1989; Yeh 2000, cs/0008005).

    Each resample swaps the counts of both taggers in every sentence with a chance of 1/2.
    *Shape:* (sentences, 3) both, of the same sentences. Raises ValueError if the shapes differ.
    """
    if candidate.shape != baseline.shape:
        raise ValueError(f"taggers must share sentences, got {candidate.shape} and {baseline.shape}")
    both, apart = (candidate + baseline).sum(axis=0), candidate - baseline
    # Sentences that differ in the same way, in either direction, are swapped together: how many is binomial.
    leading = np.take_along_axis(apart, (apart != 0).argmax(axis=1)[:, None], axis=1)
    ways, sizes = np.unique(apart * np.sign(leading), axis=0, return_counts=True)
    random = np.random.default_rng(seed)
    shift = np.zeros((resamples, 3), dtype=np.int64)
    for way, size in zip(ways, sizes, strict=True):
        shift += np.outer(2 * random.binomial(size, 0.5, resamples) - size, way)

    def gap(shift: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.abs(_f1(both + shift) - _f1(both - shift))  # twice the counts of each: their F1 is the same

    hits = np.count_nonzero(gap(shift) >= gap(apart.sum(axis=0)) - 1e-12)
    return float((hits + 1) / (resamples + 1))


def mcnemar_p(candidate: NDArray[np.bool_], baseline: NDArray[np.bool_]) -> float:
    """Exact two-sided p of McNemar's test (1947), given for each tagger which sentences it got wholly right.

    *Shape:* (sentences,) both, of the same sentences.
    """
    from scipy.stats import binomtest

    won, lost = np.count_nonzero(candidate & ~baseline), np.count_nonzero(baseline & ~candidate)
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def holm(values: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979), in the given order."""
    corrected = [0.0] * len(values)
    highest = 0.0
    for rank, (value, place) in enumerate(sorted((value, place) for place, value in enumerate(values))):
        highest = max(highest, min(1.0, (len(values) - rank) * value))
        corrected[place] = highest
    return corrected
