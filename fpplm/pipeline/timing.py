"""The speed of a predictor."""

from __future__ import annotations

import statistics
import time

import numpy as np

from fpplm_core.serving import Predictor

LATENCY_SENTENCES = 200


def measure(predictor: Predictor, words: list[tuple[str, ...]]) -> dict[str, float]:
    """Words/s over all sentences (median of three), and the median and 95th percentile latency of one, in ms."""
    rates = []
    for _ in range(3):
        start = time.perf_counter()
        predictor.tag(words)
        rates.append(sum(map(len, words)) / (time.perf_counter() - start))
    latencies = []
    for sentence in words[:LATENCY_SENTENCES]:
        start = time.perf_counter()
        predictor.tag([sentence])
        latencies.append(1000 * (time.perf_counter() - start))
    return {
        "words_per_s": statistics.median(rates),
        "latency_ms": statistics.median(latencies),
        "latency_p95_ms": float(np.quantile(latencies, 0.95)),
    }
