"""The difference in F1 between two taggers on the same sentences, with interval and test."""

from __future__ import annotations

from dataclasses import dataclass

from fpplm_core.evaluation.metrics import SentenceCounts
from fpplm_core.evaluation.significance import difference, mean_f1


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
    """*Shape:* (sentences, 3) both."""
    gain = difference(candidate[None], incumbent[None], confidence=1 - alpha)
    support = int(candidate[:, [0, 2]].sum())
    return F1Difference(mean_f1(incumbent[None]), mean_f1(candidate[None]), gain.mean, gain.low, gain.high, support)
