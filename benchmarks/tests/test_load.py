"""The simulated queue, which the service under load is compared with."""

from __future__ import annotations

import math
import random

import pytest

from benchmarks.load.__main__ import queue_p99


def test_the_tail_of_a_queue_with_exponential_times_is_the_known_one() -> None:
    """M/M/1: time in the queue is exponential with rate mu - lambda. Here mu is 100/s, and half as many arrive."""
    draw = random.Random(2)
    service = [draw.expovariate(1 / 10) for _ in range(20_000)]  # ms
    assert queue_p99(service, 100) == pytest.approx(1000 * math.log(100) / (100 - 50), rel=0.05)


def test_times_are_shortened_to_those_of_full_load() -> None:
    assert queue_p99([10.0, 20.0], 100) == pytest.approx(queue_p99([1.0, 2.0], 100))
    assert queue_p99([10.0, 20.0], 50) == pytest.approx(2 * queue_p99([10.0, 20.0], 100))
