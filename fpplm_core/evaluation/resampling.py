"""The bootstrap over sentences, from how often each row of counts occurs."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

DRAWN = 1_000_000  # numbers drawn at a time


def resampled_sums(rows: Counter[tuple[int, ...]], resamples: int, seed: int) -> NDArray[np.int64]:
    """The sum of the rows in each resample of as many rows, with replacement. *Shape:* (resamples, numbers of a row).

    To draw sentences is to draw how often each distinct row occurs, which is multinomial (Efron 1979). That
    takes the memory and time of the distinct rows, of which there are few. Raises ValueError without rows.
    """
    if not rows:
        raise ValueError("no rows to draw from")
    distinct = sorted(rows)
    table, times = np.array(distinct, dtype=np.int64), np.array([rows[row] for row in distinct])
    random, step = np.random.default_rng(seed), max(1, DRAWN // len(distinct))
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate([random.multinomial(times.sum(), times / times.sum(), size=n) @ table for n in sizes])
