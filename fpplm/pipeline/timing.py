"""How fast predictors are on this machine."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # reading a report of timings needs no runtime
    from fpplm_core.serving import Predictor
    from fpplm_core.tagging.windows import Documents

ROUNDS = 3
LATENCY_SENTENCES = 200

Sentences = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Timing:
    """Words/s over many sentences with their documents; latency of one sentence in ms, median and 95th percentile.

    `cpu_s_per_million_words` is the time of all cores together.
    """

    device: str
    variant: str
    words_per_s: float
    latency_ms: float
    latency_p95_ms: float
    cpu_s_per_million_words: float | None = None


@dataclass(frozen=True)
class TimingReport:
    """The speed of every graph, as reports/timings/verify.json holds it."""

    machine: str
    runs: list[Timing]


def machine() -> str:
    return platform.processor() or platform.machine()


def measure(predictor: Predictor, sentences: Sentences, documents: Documents = None) -> Timing:
    cpu_start = time.process_time()
    (rate,) = word_rates([predictor], sentences, documents)
    cpu = 1e6 * (time.process_time() - cpu_start) / (ROUNDS * sum(map(len, sentences)))
    latencies = []
    for words in sentences[:LATENCY_SENTENCES]:
        start = time.perf_counter()
        predictor.tag([words])
        latencies.append(1000 * (time.perf_counter() - start))
    median, p95 = np.quantile(latencies, [0.5, 0.95])
    return Timing(predictor.device, predictor.variant, rate, float(median), float(p95), cpu)


def word_rates(predictors: Sequence[Predictor], sentences: Sentences, documents: Documents = None) -> list[float]:
    """Words/s of each predictor: the median of rounds in which they take turns."""
    seconds: list[list[float]] = [[] for _ in predictors]
    for _ in range(ROUNDS):
        for predictor, spent in zip(predictors, seconds, strict=True):
            start = time.perf_counter()
            predictor.tag(sentences, documents)
            spent.append(time.perf_counter() - start)
    return [sum(map(len, sentences)) / statistics.median(spent) for spent in seconds]
