from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.evaluation.metrics import f1_of_counts
from fpplm_core.evaluation.significance import holm, mcnemar_p, permutation_p


def drawn(random: np.random.Generator, right: float, sentences: int = 1500) -> np.ndarray:
    """Sentences of two entities, each found with this chance; a missed one is also a false positive."""
    found = random.binomial(2, right, sentences)
    return np.stack([found, 2 - found, 2 - found], axis=-1)


def test_golden_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_never_lowers(values):
    corrected = holm(values)
    assert all(a <= b <= 1 for a, b in zip(values, corrected, strict=True))
    ranked = sorted(zip(values, corrected, strict=True))
    assert [c for _, c in ranked] == sorted(corrected)


def every_swap_p(one: np.ndarray, other: np.ndarray) -> float:
    """The share of all 2^n ways to swap the counts of sentences that give at least the gap that was seen."""
    seen = abs(f1_of_counts(one) - f1_of_counts(other))
    gaps = []
    for swap in product([False, True], repeat=len(one)):
        mask = np.array(swap)[:, None]
        gaps.append(abs(f1_of_counts(np.where(mask, other, one)) - f1_of_counts(np.where(mask, one, other))))
    return float(np.mean(np.array(gaps) >= seen - 1e-12))


pairs = st.lists(st.tuples(*[st.integers(0, 3)] * 6), min_size=1, max_size=7)


@given(pairs)
def test_approximate_randomisation_comes_near_to_all_swaps(rows):
    one, other = np.array(rows)[:, :3], np.array(rows)[:, 3:]
    assert permutation_p(one, other, 20_000) == pytest.approx(every_swap_p(one, other), abs=0.02)


@given(pairs)
def test_who_is_first_makes_no_difference_to_p(rows):
    one, other = np.array(rows)[:, :3], np.array(rows)[:, 3:]
    assert permutation_p(one, other, 500) == permutation_p(other, one, 500)
    assert permutation_p(one, one, 500) == 1.0


def test_sentences_in_which_two_taggers_agree_have_no_say():
    """But through the size of F1."""
    one, other = np.array([[3, 0, 0]] * 6), np.array([[0, 3, 3]] * 6)
    assert permutation_p(one, other) == pytest.approx(2 / 2**6, abs=0.01)
    alike = np.array([[1, 1, 1]] * 50)
    assert permutation_p(np.vstack([one, alike]), np.vstack([other, alike])) == pytest.approx(2 / 2**6, abs=0.01)


def test_a_clear_difference_has_the_least_p_that_can_be_said():
    random = np.random.default_rng(1)
    good, bad = drawn(random, 0.8, 300), drawn(random, 0.6, 300)
    assert permutation_p(good, bad, 999) == 1 / 1000


def test_of_taggers_that_are_alike_few_are_told_apart():
    random = np.random.default_rng(2)
    values = [permutation_p(drawn(random, 0.7, 60), drawn(random, 0.7, 60), 500) for _ in range(200)]
    assert 0.01 < np.mean(np.array(values) < 0.05) < 0.1


def test_what_cannot_be_paired_or_is_empty():
    with pytest.raises(ValueError, match="share sentences"):
        permutation_p(np.zeros((2, 3), int), np.zeros((3, 3), int))
    empty = np.zeros((0, 3), int)
    assert permutation_p(empty, empty) == permutation_p(np.zeros((4, 3), int), np.zeros((4, 3), int)) == 1.0


@pytest.mark.parametrize(
    ("won", "lost", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 2**5), (10, 0, 2 / 2**10), (1, 5, 14 / 64), (3, 3, 1.0), (2, 8, 112 / 1024)],
)
def test_golden_mcnemar(won, lost, p):
    both = [True] * 4 + [False] * 3
    one = np.array([True] * won + [False] * lost + both)
    other = np.array([False] * won + [True] * lost + both)
    assert mcnemar_p(one, other) == pytest.approx(p) == mcnemar_p(other, one)
