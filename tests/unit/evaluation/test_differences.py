"""Types and slices of two taggers: one family of tests, with Holm's correction; slices that are small never decide."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from fpplm_core.evaluation.differences import corrected_differences, f1_difference
from fpplm_core.evaluation.metrics import SentenceCounts, f1_of_sums
from fpplm_core.evaluation.promotion import Comparison, TaggerCounts, compare_taggers
from fpplm_core.evaluation.settings import PromotionSettings
from fpplm_core.evaluation.significance import holm, permutation_p
from fpplm_core.params import load
from tests.unit.evaluation.test_significance import drawn

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
    return compare_taggers(new, old, settings, ("candidate", "incumbent"), [], None, min_support)


def test_golden_correction_of_holm():
    """The example of four hypotheses: 0.01, 0.04, 0.03, 0.005 (as R's p.adjust(…, "holm"))."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0] and holm([]) == []


def plain_bootstrap(candidate: SentenceCounts, incumbent: SentenceCounts, seed: int) -> tuple[float, ...]:
    """The interval from sentences that are drawn one by one, the same for both."""
    places = np.random.default_rng(seed).integers(0, len(candidate), (2000, len(candidate)))
    new, old = (f1_of_sums(side[places].sum(axis=1)) for side in (candidate, incumbent))
    return tuple(np.quantile(new - old, [0.05, 0.95]))


RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "both",
    [
        pair(12, 60),
        pair(2, 60, 2),
        pair(1, 3),
        (counts(5, 5), counts(10, 0)),
        (drawn(RANDOM, 0.7, 90), drawn(RANDOM, 0.6, 90)),
        (RANDOM.integers(0, 9, (50, 3)), RANDOM.integers(0, 9, (50, 3))),
    ],
)
def test_the_interval_is_that_of_sentences_drawn_one_by_one(both):
    """Its ends are as near to the mean of plain ones over 20 seeds as these are (five times the standard deviation)."""
    found = f1_difference(*both, 0.1)
    plain = np.array([plain_bootstrap(*both, seed=n) for n in range(20)])
    assert (np.abs([found.low, found.high] - plain.mean(axis=0)) <= 5 * plain.std(axis=0) + 1e-12).all()
    assert found.low <= found.mean <= found.high and found == f1_difference(*both, 0.1)


def test_the_interval_is_the_same_from_sentences_in_any_order():
    candidate, incumbent = pair(12, 60, 5)
    assert f1_difference(candidate, incumbent, 0.05) == f1_difference(candidate[::-1], incumbent[::-1], 0.05)


@pytest.mark.parametrize("both", [(counts(0, 0),) * 2, (counts(3, 3),) * 2, (np.zeros((3, 3), int),) * 2])
def test_a_tagger_against_itself_is_zero(both):
    found = f1_difference(*both, 0.05)
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)


def test_one_sentence_gives_a_point():
    found = f1_difference(counts(1, 0), counts(0, 1), 0.05)
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)


def test_taggers_must_share_sentences():
    with pytest.raises(ValueError, match="dimension"):
        f1_difference(counts(2, 0), counts(3, 0), 0.05)


def test_a_clear_difference_is_found_with_its_sign():
    random = np.random.default_rng(1)
    good, bad = drawn(random, 0.8), drawn(random, 0.6)
    one, other = f1_difference(good, bad, 0.05), f1_difference(bad, good, 0.05)
    assert one.mean == pytest.approx(0.2, abs=0.03) and other.mean == -one.mean
    assert 0.1 < one.low < one.mean < one.high < 0.3
    assert [other.low, other.high] == pytest.approx([-one.high, -one.low], abs=0.005)


def test_intervals_hold_what_they_promise():
    """Of many experiments with a true difference of 0, about a twentieth exclude it."""
    random = np.random.default_rng(2)
    misses = 0
    for _ in range(200):
        found = f1_difference(drawn(random, 0.7, 60), drawn(random, 0.7, 60), 0.05)
        misses += not found.low <= 0 <= found.high
    assert 3 <= misses <= 18


def test_pairing_narrows_the_interval():
    random = np.random.default_rng(3)
    base = drawn(random, 0.7)
    better = base.copy()
    better[::10] = [2, 0, 0]  # the same but for every tenth sentence
    strangers = drawn(random, 0.73)
    paired, unpaired = f1_difference(better, base, 0.05), f1_difference(strangers, base, 0.05)
    assert paired.high - paired.low < 0.8 * (unpaired.high - unpaired.low)


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
