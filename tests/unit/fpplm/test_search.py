"""Which trials are drawn, and which are pruned."""

import pytest

from fpplm.studies.plan import Search
from fpplm.studies.search import draw, falls_behind

LENGTHS = {"train.epochs": [6, 12, 24]}
GOOD, MIDDLE, BAD = [0.3, 0.5, 0.6, 0.65], [0.2, 0.4, 0.5, 0.55], [0.0, 0.1, 0.2, 0.25]


def search(**space):
    return Search(trials=8, space={"train.lr": {"low": 1e-5, "high": 1e-3}, **space})


def test_draws_are_repeatable_spread_over_decades_and_easy_to_copy():
    drawn = draw(search(**LENGTHS))
    assert drawn == draw(search(**LENGTHS)) and len(drawn) == 8
    rates = [values["train.lr"] for values in drawn]
    assert min(rates) < 1e-4 < max(rates) and all(len(f"{rate:g}".replace("e-05", "")) <= 8 for rate in rates)
    assert len({values["train.epochs"] for values in drawn}) > 1
    assert draw(search(**LENGTHS).model_copy(update={"present": True})) == [{}, *drawn]


@pytest.mark.parametrize(
    ("curve", "others", "pruned"),
    [
        (BAD[:3], [GOOD, MIDDLE], True),
        (GOOD[:3], [GOOD, MIDDLE], False),
        (GOOD[:3], [BAD, MIDDLE], False),
        (BAD[:2], [GOOD, MIDDLE], False),  # not before three epochs
        (BAD[:3], [GOOD], False),  # nor against one other
        (BAD[:3], [GOOD, MIDDLE[:2]], False),  # nor against those that have not come as far
        (BAD[:3], [], False),
        ([0.6, 0.1, 0.1], [GOOD, MIDDLE], False),  # its best counts
    ],
)
def test_a_trial_is_pruned_below_the_median_of_the_others(curve, others, pruned):
    assert falls_behind(curve, {"epochs": 6, "warmup": 0.1}, others) is pruned


def test_no_trial_is_pruned_while_its_rate_rises_or_before_a_quarter_of_its_epochs():
    good, bad = [0.5] * 24, [0.1] * 24
    for epochs, warmup, first in ((6, 0.1, 3), (12, 0.3, 4), (24, 0.1, 6), (24, 0.3, 8), ("auto", "auto", 3)):
        train = {"epochs": epochs, "warmup": warmup}
        pruned = [n for n in range(1, 25) if falls_behind(bad[:n], train, [good, good])]
        assert pruned[0] == first
