"""The difference in F1 between two taggers on the same sentences, with interval and test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fpplm_core.evaluation.metrics import SentenceCounts, f1_of_counts, f1_of_sums, resampled_sums
from fpplm_core.evaluation.significance import PERMUTATIONS, holm, permutation_p

RESAMPLES = 2_000  # of the sentences, for an interval
FEW_HITS = 10  # of the permutations; with fewer, p is too coarse for a correction over many tests

Pairs = Mapping[str, tuple[SentenceCounts, SentenceCounts]]  # of the candidate and the incumbent


@dataclass(frozen=True)
class F1Difference:
    """F1 before and after, the gain with its paired bootstrap interval, and the number of gold mentions.

    `p` is the two-sided p of the permutation test, corrected for the number of types and slices (Holm 1979); None
    without a test, as for a slice with too little support.
    """

    before: float
    after: float
    mean: float
    low: float
    high: float
    support: int
    p: float | None = None  # earlier versions did not test types

    def __str__(self) -> str:
        gain = f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"
        return f"served F1 {self.after:.4f}, before {self.before:.4f}: {gain}"


def f1_difference(candidate: SentenceCounts, incumbent: SentenceCounts, alpha: float) -> F1Difference:
    """Each resample draws sentences, the same for both; a share of `alpha` of the gains is outside the interval.

    *Shape:* (sentences, 3) both, of the same sentences. Raises ValueError if their numbers differ.
    """
    after, before = f1_of_counts(candidate), f1_of_counts(incumbent)
    rows = Counter(map(tuple, np.hstack([candidate, incumbent]).tolist()))
    low = high = 0.0
    if rows:
        sums = resampled_sums(rows, RESAMPLES, seed=0)
        gains = f1_of_sums(sums[:, :3]) - f1_of_sums(sums[:, 3:])
        low, high = np.quantile(gains, [alpha / 2, 1 - alpha / 2]).tolist()
    return F1Difference(before, after, after - before, low, high, int(candidate[:, [0, 2]].sum()))


def corrected_differences(
    types: Pairs, slices: Pairs, alpha: float, min_support: int
) -> tuple[dict[str, F1Difference], dict[str, F1Difference]]:
    """The differences by type and by slice; all types and the slices with `min_support` gold mentions are tested.

    All tests are one family. *Shape:* (sentences, 3) both counts of a pair.
    """
    by_type = {name: f1_difference(*pair, alpha) for name, pair in types.items()}
    by_slice = {name: f1_difference(*pair, alpha) for name, pair in slices.items()}
    tested = [(by_type, name, pair) for name, pair in types.items()]
    tested += [(by_slice, name, pair) for name, pair in slices.items() if by_slice[name].support >= min_support]
    corrected = holm([fine_p(*pair, level=alpha / len(tested)) for _, _, pair in tested])
    for (rows, name, _), p in zip(tested, corrected, strict=True):
        rows[name] = replace(rows[name], p=p)
    return by_type, by_slice


def fine_p(candidate: SentenceCounts, incumbent: SentenceCounts, level: float) -> float:
    """The p of the permutation test, from so many permutations that it may be below `level` (a tenth, at the least).

    *Shape:* (sentences, 3) both.
    """
    p, enough = permutation_p(candidate, incumbent), round(FEW_HITS / level)
    if enough <= PERMUTATIONS or p > FEW_HITS / PERMUTATIONS:
        return p
    return permutation_p(candidate, incumbent, enough)
