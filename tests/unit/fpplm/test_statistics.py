"""The statistics of a study, by simulation: what covers, what rejects, and what the numbers are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm.studies.statistics import effect, spread, variances
from fpplm_core.evaluation.metrics import f1_of_counts

RESAMPLES = 200


def simulate(random, seeds=5, units=60, of_seeds=0.03, of_units=0.1, of_both=0.05, gain=0.0):
    """Counts of two arms with about three mentions a unit; the candidate finds the share `gain` more of them."""
    mentions, common = random.poisson(3, units), random.normal(0, of_units, units)
    arms = []
    for own in (gain, 0.0):
        noise = random.normal(0, of_seeds, (seeds, 1)) + random.normal(0, of_both, (seeds, units))
        found = np.clip(0.6 + own + common + random.normal(0, of_units / 2, units) + noise, 0.02, 0.98)
        tp, fp = random.binomial(mentions, found), random.binomial(mentions, 1 - found)
        arms.append(np.stack([tp, fp, mentions - tp], axis=-1))
    return tuple(arms)


@pytest.mark.parametrize(
    ("corpora", "design"),
    [
        (1, {}),
        (1, {"of_seeds": 0.0, "of_units": 0.15}),
        (1, {"of_seeds": 0.08, "of_units": 0.02}),  # five seeds decide: a normal interval would cover 0.88
        (3, {"of_both": 0.0}),
        (3, {"seeds": 3}),
        (3, {"seeds": 2}),
        (1, {"seeds": 1, "of_seeds": 0.0}),
    ],
)
def test_intervals_cover_and_p_values_are_right_where_there_is_no_difference(corpora, design):
    random, rounds = np.random.default_rng(3), 250
    found = [effect([simulate(random, **design) for _ in range(corpora)], RESAMPLES, seed=n) for n in range(rounds)]
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert 0.90 <= covered <= 0.99
    assert np.mean([one.p < 0.05 for one in found]) == pytest.approx(1 - covered, abs=1e-9)
    assert 0.35 <= np.mean([one.p < 0.5 for one in found]) <= 0.62


def test_a_real_difference_is_found_and_covered():
    random = np.random.default_rng(5)
    better, worse = simulate(random, 200, 4000, 0, 0.1, 0, gain=0.08)
    truth = f1_of_counts(better.sum(axis=0)) - f1_of_counts(worse.sum(axis=0))
    found = [effect([simulate(random, gain=0.08) for _ in range(3)], RESAMPLES, seed=n) for n in range(100)]
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.88
    assert np.mean([one.p < 0.05 for one in found]) > 0.9


def test_an_interval_over_seeds_and_units_is_wider_than_over_either():
    random = np.random.default_rng(0)
    candidate, baseline = simulate(random, of_seeds=0.1)
    widths = {}
    for name, rows in (("both", slice(None)), ("units", slice(0, 1))):
        one = effect([(candidate[rows], baseline[rows])])
        widths[name] = one.high - one.low
    assert widths["both"] > 0.03 and widths["units"] > 0.01
    same = effect([(np.repeat(candidate[:1], 5, axis=0), np.repeat(baseline[:1], 5, axis=0))])
    assert same.high - same.low == pytest.approx(widths["units"], rel=0.1)  # five equal seeds are one


def test_few_seeds_never_hide_the_variance_of_the_units():
    random = np.random.default_rng(4)
    for _ in range(20):
        candidate, baseline = simulate(random, seeds=2, of_seeds=0.0, of_both=0.1)
        pooled = (candidate.sum(axis=0, keepdims=True), baseline.sum(axis=0, keepdims=True))
        _, of_units = variances(*pooled, 2000, np.random.default_rng(0))
        assert sum(variances(candidate, baseline, 2000, np.random.default_rng(0))) >= 0.9 * of_units


def test_one_unit_gives_no_interval():
    arm = np.array([[[5, 1, 1]], [[4, 2, 2]]])
    with pytest.raises(ValueError, match="two units"):
        effect([(arm, arm[::-1])])


def test_an_arm_against_itself_is_zero():
    arm, _ = simulate(np.random.default_rng(1))
    assert effect([(arm, arm)]) == (0, 0, 0, 1)


def test_the_mean_is_that_of_the_corpora_whatever_their_sizes():
    random = np.random.default_rng(2)
    pairs = [simulate(random, units=units) for units in (20, 200)]
    assert effect(pairs).mean == pytest.approx(np.mean([effect([pair]).mean for pair in pairs]))
    assert effect(pairs) == effect(pairs)


def test_arms_of_other_seeds_or_units_are_refused():
    one, other = simulate(np.random.default_rng(1))
    with pytest.raises(ValueError, match="share seeds and units"):
        effect([(one, other[:2])])


def test_the_spread_is_pooled_over_corpora_and_its_interval_covers():
    assert spread([[0.5], [0.6]]) is None
    one = spread([[0.50, 0.52], [0.70, 0.74, 0.72]])
    assert one.deviation == pytest.approx(np.sqrt((0.0002 + 0.0008) / 3))
    random = np.random.default_rng(0)
    found = [spread(random.normal([[0.5], [0.6], [0.8]], 0.02, (3, 5)).tolist()) for _ in range(500)]
    assert np.mean([one.low <= 0.02 <= one.high for one in found]) == pytest.approx(0.95, abs=0.03)


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=5), min_size=1, max_size=4))
def test_a_spread_lies_in_its_interval(groups):
    if (one := spread(groups)) is not None:
        assert one.low <= one.deviation + 1e-12 and (one.deviation <= one.high + 1e-12)
