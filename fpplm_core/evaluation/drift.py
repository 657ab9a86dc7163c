"""Whether the texts that a tagger sees have drifted from those that it was trained and tested on, by two sketches.

Each feature of a sketch is a distribution over bins. Two distributions differ by their Jensen-Shannon distance, as in
the data check. Words of a text are not independent, so a resample draws whole blocks of texts (a block bootstrap). It
gives the interval of the distance, corrected for its bias (chance alone makes it larger than 0), and p: the share of
resamples in which chance alone makes a larger chi-squared distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from fpplm_core.errors import DataError
from fpplm_core.evaluation.significance import holm
from fpplm_core.serving.sketch import BLOCKS, Sketch

MIN_TEXTS = 100
MIN_BLOCKS = 8  # with a count of a feature: fewer do not show what is chance
RESAMPLES = 5000
CONFIDENCE = 0.95
SHOWN = 3  # bins that changed most
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class BinChange:
    """The share of a bin in the reference and now, in [0, 1]."""

    bin: str
    before: float
    after: float


@dataclass(frozen=True)
class FeatureDrift:
    """How much a feature has changed: distance in [0, 1] with its interval, and p, corrected by Holm's method.

    It `matters` if p is below alpha and the distance is at least the smallest one that matters. `changes` are the bins
    that changed most.
    """

    feature: str
    distance: float
    low: float
    high: float
    p: float
    matters: bool
    changes: list[BinChange]


@dataclass(frozen=True)
class Drift:
    """The features of two sketches, the largest distance first; `skipped` ones have too few counts to compare."""

    texts: int
    words: int
    features: list[FeatureDrift]
    skipped: list[str]

    @property
    def matters(self) -> list[FeatureDrift]:
        return [one for one in self.features if one.matters]


def compare_sketches(reference: Sketch, live: Sketch, min_distance: float, alpha: float) -> Drift:
    """Compares what a tagger has seen with its reference.

    Raises DataError for fewer than MIN_TEXTS texts, for few documents, or if the sketches are of different types.
    """
    if live.types != reference.types:
        got = f"{', '.join(live.types)[:80]} instead of {', '.join(reference.types)[:80]}"
        raise DataError("the sketch is of a tagger with other types", got=got, do="name the bundle that wrote it")
    if live.texts < MIN_TEXTS:
        do = f"collect at least {MIN_TEXTS}: from fewer, drift and chance look alike"
        raise DataError("too few texts in the sketch", got=str(live.texts), do=do)
    random = np.random.default_rng(0)
    draws = [random.multinomial(BLOCKS, [1 / BLOCKS] * BLOCKS, RESAMPLES).astype(float) for _ in range(2)]
    found, skipped = list[FeatureDrift](), list[str]()
    for feature, bins in reference.bins.items():
        counts = [sketch.counts[feature] for sketch in (reference, live)]
        if any(np.count_nonzero(side.sum(axis=1)) < MIN_BLOCKS for side in counts):
            skipped.append(feature)
        else:
            found.append(_compare(feature, bins, counts, draws))
    if not found:
        do = "collect texts of more documents: those of one are alike"
        raise DataError("too few documents in the sketch", do=do)
    corrected = holm([one.p for one in found])
    found = [
        replace(one, p=p, matters=p < alpha and one.distance >= min_distance)
        for one, p in zip(found, corrected, strict=True)
    ]
    words = int(live.counts["scripts"].sum())
    return Drift(live.texts, words, sorted(found, key=lambda one: -one.distance), skipped)


def _compare(
    feature: str, bins: tuple[str, ...], counts: list[NDArray[np.int64]], draws: list[NDArray[np.float64]]
) -> FeatureDrift:
    used = np.flatnonzero(sum(side.sum(axis=0) for side in counts))
    sums = [draw @ side[:, used] for draw, side in zip(draws, counts, strict=True)]
    whole = (sums[0].sum(axis=1) > 0) & (sums[1].sum(axis=1) > 0)  # blocks without a count may be drawn alone
    resampled = [rows[whole] / rows[whole].sum(axis=1, keepdims=True) for rows in sums]
    before, after = (side[:, used].sum(axis=0) / side.sum() for side in counts)
    divergence = float(jensenshannon(before, after, base=2)) ** 2
    divergences = jensenshannon(*resampled, base=2, axis=1) ** 2
    quantiles = np.quantile(divergences, [(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2])
    distance, low, high = (float(np.sqrt(max(0.0, 2 * divergence - one))) for one in (divergences.mean(), *quantiles))
    mean = (before + after) / 2
    noise = [rows - share for rows, share in zip(resampled, (before, after), strict=True)]
    # Per count, live texts vary at least as much as those of the reference: their documents are often unknown, and the
    # texts of one are alike.
    spread = [float(_squares(rows, mean).mean()) * side.sum() for rows, side in zip(noise, counts, strict=True)]
    noise[1] *= np.sqrt(max(1.0, spread[0] / spread[1])) if spread[1] else 1.0
    scale = BLOCKS / (BLOCKS - 1)  # resamples of few blocks vary less than new texts would
    chance = scale * _squares(noise[1] - noise[0], mean)
    larger = np.count_nonzero(chance >= _squares((after - before)[None], mean))
    order = np.argsort(-np.abs(after - before), kind="stable")[:SHOWN]
    changes = [BinChange(bins[used[n]], float(before[n]), float(after[n])) for n in order]
    return FeatureDrift(feature, distance, low, high, (1 + larger) / (1 + len(chance)), False, changes)


def _squares(difference: Shares, mean: Shares) -> Shares:
    """The chi-squared distance of each row. *Shape:* (rows, bins) to (rows,)."""
    return np.asarray((difference**2 / mean).sum(axis=1))
