import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpplm_core.evaluation.metrics import Counts, bootstrap_f1, f1_of_counts, f1_of_sums, resampled_sums, sum_counts


def sentence_counts(number: int) -> list[Counts]:
    return [Counts(*row) for row in np.random.default_rng(0).integers(0, 4, (number, 3)).tolist()]


def test_the_interval_holds_the_score_and_narrows_with_more_sentences():
    widths = []
    for number in (20, 200, 2000):
        counts = sentence_counts(number)
        low, high = bootstrap_f1(counts)
        assert low < sum_counts(counts).f1 == f1_of_counts(np.array(counts)) < high
        widths.append(high - low)
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


def test_resamples_depend_on_the_seed_alone_and_leave_global_randomness():
    counts = Counter(sentence_counts(50))
    before = np.random.get_state()[1].tolist()
    assert np.array_equal(resampled_sums(counts, 100, seed=1), resampled_sums(counts, 100, seed=1))
    assert not np.array_equal(resampled_sums(counts, 100, seed=1), resampled_sums(counts, 100, seed=2))
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize(
    ("counts", "interval"),
    [
        ([Counts(2, 0, 0)] * 5, (1.0, 1.0)),
        ([Counts(0, 1, 1)] * 5, (0.0, 0.0)),
        ([Counts(0, 0, 0)] * 5, (0.0, 0.0)),
        ([Counts(1, 1, 0)], (2 / 3, 2 / 3)),
        ([], (0.0, 0.0)),
    ],
)
def test_the_interval_of_sentences_that_are_all_alike_is_a_point(counts, interval):
    assert bootstrap_f1(counts) == pytest.approx(interval)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    rates = np.array([[2.0, 0.5, 1.0]])
    truth = 4.0 / 5.5
    covered = 0
    for _ in range(100):
        counts = [Counts(*row) for row in random.poisson(rates.repeat(60, axis=0)).tolist()]
        low, high = bootstrap_f1(counts)
        covered += low <= truth <= high
    assert 86 <= covered <= 99


def plain_sums(rows: list[tuple[int, ...]], seed: int) -> np.ndarray:
    """The sums of sentences that are drawn one by one."""
    drawn = np.random.default_rng(seed).integers(0, len(rows), (200, len(rows)))
    return np.array(rows)[drawn].sum(axis=1)


def ends(sums: np.ndarray) -> np.ndarray:
    return np.quantile(f1_of_sums(sums), [0.05, 0.95])


@settings(max_examples=10)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=30))
def test_the_interval_is_that_of_sentences_drawn_one_by_one(rows):
    """Over 30 seeds, the means of both ends differ by no more than their error (five times the standard error)."""
    ours = np.array([ends(resampled_sums(Counter(rows), 200, seed=n)) for n in range(30)])
    plain = np.array([ends(plain_sums(rows, seed=1000 + n)) for n in range(30)])
    error = np.concatenate([ours, plain]).std(axis=0) * np.sqrt(2 / 30)
    assert (np.abs(ours.mean(axis=0) - plain.mean(axis=0)) <= 5 * error + 1e-12).all()


def test_the_interval_is_the_same_from_sentences_in_any_order_and_from_how_often_each_row_occurs():
    counts = sentence_counts(50)
    assert bootstrap_f1(counts) == bootstrap_f1(counts[::-1]) == bootstrap_f1(Counter(counts))


@pytest.mark.parametrize("highest", [3, 10**6])  # few distinct rows, and as many as sentences
def test_a_large_split_needs_no_memory_for_each_sentence_of_each_resample(highest):
    table = np.random.default_rng(0).integers(0, highest, (20_000, 3))
    rows = Counter(map(tuple, table.tolist()))
    tracemalloc.start()
    resampled_sums(rows, 200, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6, "200 × 20,000 numbers of 8 bytes are 32 MB"
