import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.training.schedules import SCHEDULES, cosine, layerwise, linear

shares = st.floats(0, 1)


@pytest.mark.parametrize("name", SCHEDULES)
@given(progress=shares, other=shares, warmup=st.floats(0.01, 0.99))
def test_a_schedule_rises_to_one_and_falls_to_zero(name, progress, other, warmup):
    schedule = SCHEDULES[name]
    assert 0 <= schedule(progress, warmup) <= 1
    assert (
        schedule(0, warmup) == 0 and schedule(warmup, warmup) == pytest.approx(1) and abs(schedule(1, warmup)) < 1e-12
    )
    low, high = sorted((progress, other))
    if high < warmup:
        assert schedule(low, warmup) <= schedule(high, warmup)
    elif low >= warmup:
        assert schedule(low, warmup) >= schedule(high, warmup)


@pytest.mark.parametrize("name", SCHEDULES)
def test_without_a_warm_up_it_starts_at_one(name):
    assert SCHEDULES[name](0.0, 0.0) == pytest.approx(1.0)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_the_mean_factor_is_a_half(name, warmup):
    """What the pull towards the pretrained weights relies on."""
    steps = 2000
    mean = sum(SCHEDULES[name]((n + 0.5) / steps, warmup) for n in range(steps)) / steps
    assert mean == pytest.approx(0.5, abs=1e-3)


def test_golden_values():
    assert linear(0.05, 0.1) == cosine(0.05, 0.1) == 0.5
    assert linear(0.55, 0.1) == pytest.approx(0.5)
    assert cosine(0.325, 0.1) == pytest.approx(0.5 + 0.5 * math.cos(math.pi / 4))
    assert [layerwise(depth, 0.5) for depth in (1, 2, 3)] == [1.0, 0.5, 0.25]
