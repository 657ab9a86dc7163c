"""Whether one tagger is better than another: paired tests over sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fpplm_core.evaluation.metrics import SentenceCounts, f1_of_sums

PERMUTATIONS = 10_000


def permutation_p(candidate: SentenceCounts, baseline: SentenceCounts, resamples: int = PERMUTATIONS) -> float:
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
    random = np.random.default_rng(0)
    shift = np.zeros((resamples, 3), dtype=np.int64)
    for way, size in zip(ways, sizes, strict=True):
        shift += np.outer(2 * random.binomial(size, 0.5, resamples) - size, way)

    def gap(shift: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.abs(f1_of_sums(both + shift) - f1_of_sums(both - shift))  # twice the counts: the same F1

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
