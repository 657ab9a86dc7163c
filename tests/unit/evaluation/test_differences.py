"""Types and slices of two taggers: one family of tests, with Holm's correction; slices that are small never decide."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from fpplm_core.evaluation.differences import corrected_differences, f1_difference, slice_difference
from fpplm_core.evaluation.metrics import SentenceCounts
from fpplm_core.evaluation.promotion import Comparison, TaggerCounts, compare_taggers
from fpplm_core.evaluation.settings import PromotionSettings
from fpplm_core.evaluation.significance import holm, permutation_p
from fpplm_core.params import load

SETTINGS = load(Path(__file__).resolve().parents[3] / "params.yaml").promotion
RIGHT, WRONG = (1, 0, 0), (0, 1, 1)


def counts(right: int, wrong: int) -> SentenceCounts:
    """Sentences of one mention, the right ones first."""
    return np.array([RIGHT] * right + [WRONG] * wrong, dtype=np.int64).reshape(-1, 3)


def pair(lost: int, kept: int, won: int = 0) -> tuple[SentenceCounts, SentenceCounts]:
    """The candidate's and the incumbent's counts."""
    rows = [(WRONG, RIGHT)] * lost + [(RIGHT, RIGHT)] * kept + [(RIGHT, WRONG)] * won
    new, old = ([row[side] for row in rows] for side in (0, 1))
    return np.array(new, dtype=np.int64).reshape(-1, 3), np.array(old, dtype=np.int64).reshape(-1, 3)


def compared(
    slices: dict[str, tuple[SentenceCounts, SentenceCounts]], min_support: int = 30, **changes: float
) -> Comparison:
    """Two taggers that are equal on the whole, with other results in these slices."""
    settings = PromotionSettings(**(SETTINGS.model_dump() | {"min_speed": 0.0} | changes))
    whole = counts(500, 100)
    new, old = (
        TaggerCounts({None: whole, "PER": whole}, {"PER"}, 1.0, 1, {name: both[side] for name, both in slices.items()})
        for side in (0, 1)
    )
    return compare_taggers(new, old, settings, min_support=min_support)


def test_golden_correction_of_holm():
    """The example of four hypotheses: 0.01, 0.04, 0.03, 0.005 (as R's p.adjust(…, "holm"))."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0] and holm([]) == []


@pytest.mark.parametrize("both", [pair(12, 60), pair(2, 60, 2), pair(1, 3), (counts(5, 5), counts(10, 0))])
def test_the_interval_of_a_slice_is_that_of_a_type(both):
    slow, fast = f1_difference(*both, 0.05), slice_difference(*both, 0.05)
    assert (fast.before, fast.after, fast.mean, fast.support) == (slow.before, slow.after, slow.mean, slow.support)
    width = max(0.01, slow.high - slow.low)
    assert abs(fast.low - slow.low) < 0.15 * width and abs(fast.high - slow.high) < 0.15 * width
    assert slice_difference(counts(0, 0), counts(0, 0), 0.05).high == 0.0


def test_types_and_slices_are_one_family_without_the_small_slices():
    types = {"A": pair(3, 40), "B": pair(0, 30, 2)}
    slices = {"lost": pair(12, 60), "even": pair(2, 60, 2), "small": pair(9, 5)}
    by_type, by_slice = corrected_differences(types, slices, 0.05, min_support=30)
    raw = [permutation_p(*one) for one in (types["A"], types["B"], slices["lost"], slices["even"])]
    found = [by_type["A"].p, by_type["B"].p, by_slice["lost"].p, by_slice["even"].p]
    assert found == pytest.approx(holm(raw)) and found != pytest.approx(raw)
    assert by_slice["small"].p is None and by_slice["small"].mean < -0.5 and by_slice["small"].support == 14


def test_a_candidate_that_is_worse_on_one_slice_only_is_held_and_the_slice_is_named():
    found = compared({"emails": pair(20, 60), "tweets": pair(3, 60, 3), "rare": pair(9, 5)})
    assert found.verdict == "hold"
    assert {rule.name: rule.outcome for rule in found.rules if rule.outcome != "pass"} == {
        "F1 difference of slice emails": "hold"
    }
    assert found.reasons[0].startswith("slice emails: served F1 0.7500, before 1.0000: -0.2500 [")
    assert "on 80 mentions; it lost more than 0.05 (p 0.0" in found.reasons[0]
    assert found.reasons[-1].startswith("worst of 2 slices, emails: ")
    assert list(found.slices) == ["emails", "tweets", "rare"]
    assert json.dumps(asdict(found), allow_nan=False)


@pytest.mark.parametrize(
    ("slices", "changes"),
    [
        ({"small": pair(29, 0)}, {}),  # too little support
        ({"by chance": pair(4, 40)}, {}),  # lost 9 points, which may be chance
        ({"little": pair(30, 2000)}, {}),  # surely worse, by less than is tolerated
        ({"tolerated": pair(20, 60)}, {"max_slice_loss": 1.0}),
        ({"better": pair(0, 60, 20)}, {}),
        ({"empty": (counts(0, 0), counts(0, 0))}, {}),
        ({}, {}),
    ],
)
def test_what_is_small_by_chance_or_tolerated_holds_nothing(slices, changes):
    found = compared(slices, **changes)
    assert found.verdict == "promote", found.reasons
    assert found.slices.keys() == slices.keys()


def test_support_of_the_minimum_decides():
    assert compared({"s": pair(29, 0)}, min_support=29).verdict == "hold"
    assert compared({"s": pair(29, 0)}, min_support=30).verdict == "promote"


def test_among_many_equal_slices_chance_holds_hardly_any_candidate():
    """100 slices of equally good taggers, three times: each alone would be significant in five of a hundred."""
    random = np.random.default_rng(0)

    def noisy() -> tuple[SentenceCounts, SentenceCounts]:
        flips = random.random(60) < 0.3
        sides = random.random(60) < 0.5
        return pair(int((flips & sides).sum()), int((~flips).sum()), int((flips & ~sides).sum()))

    worse = held = 0
    for _ in range(3):
        slices = {f"s{n}": noisy() for n in range(100)}
        raw = [permutation_p(*one) for one in slices.values()]
        worse += any(
            p < 0.05 and one[0][:, 0].sum() < one[1][:, 0].sum() for p, one in zip(raw, slices.values(), strict=True)
        )
        _, by_slice = corrected_differences({}, slices, 0.05, 30)
        held += any(row.p < 0.05 and row.mean < 0 for row in by_slice.values())
    assert worse >= 2 and held <= 1


def test_the_correction_for_a_thousand_slices_can_still_find_one():
    """With 10,000 permutations, no p could be below 0.05 after the correction: more are drawn."""
    slices = dict.fromkeys(map(str, range(999)), pair(0, 31)) | {"lost": pair(40, 10)}
    _, by_slice = corrected_differences({}, slices, 0.05, 30)
    assert by_slice["lost"].p < 0.05
    assert all(row.p == 1.0 for name, row in by_slice.items() if name != "lost")
