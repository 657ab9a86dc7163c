from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.encoded import RenumberedWindows
from fpplm_core.tagging.batches import by_length, collate, epoch_batches
from fpplm_core.tagging.windows import Window
from fpplm_core.training.data import FIXED_IDS, used_pieces

sizes = st.lists(st.integers(1, 50), max_size=60)
budgets = st.integers(1, 300)


def padded(lengths: list[int], batch: list[int]) -> int:
    return len(batch) * max(lengths[row] for row in batch)


@given(sizes, budgets, st.integers(0, 10), st.integers(0, 10))
def test_an_epoch_holds_every_row_once_within_the_budget(lengths, budget, seed, epoch):
    batches = list(epoch_batches(lengths, budget, seed, epoch))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or padded(lengths, batch) <= budget for batch in batches)
    assert batches == list(epoch_batches(lengths, budget, seed, epoch))


def slow_epoch(lengths: list[int], budget: int, seed: int, epoch: int) -> list[list[int]]:
    """As `epoch_batches`, row by row."""
    random = np.random.default_rng((seed, epoch))
    order = np.argsort(np.asarray(lengths) * random.uniform(0.95, 1.05, len(lengths)), kind="stable")
    batches: list[list[int]] = []
    longest = 0
    for row in order.tolist():
        longest = max(longest, lengths[row])
        if batches and longest * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
            longest = lengths[row]
    random.shuffle(batches)
    return batches


@given(st.lists(st.integers(0, 400), max_size=300), budgets, st.integers(0, 10), st.integers(0, 10))
def test_an_epoch_is_that_of_the_plain_loop(lengths, budget, seed, epoch):
    assert list(epoch_batches(lengths, budget, seed, epoch)) == slow_epoch(lengths, budget, seed, epoch)


@given(sizes, budgets)
def test_by_length_holds_every_row_once_within_the_budget_from_the_longest_on(lengths, budget):
    batches = by_length(lengths, budget)
    order = [row for batch in batches for row in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[row] for row in order] == sorted(lengths, reverse=True)
    assert all(len(batch) == 1 or padded(lengths, batch) <= budget for batch in batches)
    for batch, following in pairwise(batches):
        assert lengths[batch[0]] * (len(batch) + 1) > budget  # the next row would not fit
        assert lengths[batch[0]] >= lengths[following[0]]


@given(st.lists(st.integers(0, 3), max_size=30))
def test_rows_of_no_length_are_batched_too(lengths):
    assert sorted(row for batch in by_length(lengths, 4) for row in batch) == list(range(len(lengths)))


def test_epochs_and_seeds_give_other_orders_and_other_company():
    lengths = np.random.default_rng(0).integers(5, 60, 400).tolist()
    found = [epoch_batches(lengths, 512, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))]
    orders = [[row for batch in batches for row in batch] for batches in found]
    company = [{frozenset(batch) for batch in batches} for batches in found]
    for index, order in enumerate(orders):
        for other in range(index):
            assert order != orders[other]
            assert len(company[index] & company[other]) < len(company[index]) / 10


def test_seed_and_epoch_are_not_summed():
    lengths = list(range(1, 40))
    assert list(epoch_batches(lengths, 64, 1, 2)) != list(epoch_batches(lengths, 64, 2, 1))


def test_rows_of_like_length_meet_so_that_little_is_padding():
    lengths = np.random.default_rng(0).integers(5, 60, 1000).tolist()
    batches = epoch_batches(lengths, 1024, 0, 0)
    assert sum(padded(lengths, batch) for batch in batches) < 1.15 * sum(lengths)
    longest = [max(lengths[row] for row in batch) for batch in batches]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)


def test_the_order_of_an_epoch_is_the_one_it_has_always_been():
    """A change here makes other models of the same parameters."""
    assert list(epoch_batches([5, 9, 3, 7, 12, 4], 16, 1, 0)) == [[3], [4], [1], [2, 5, 0]]


@st.composite
def window_lists(draw) -> list[Window]:
    windows = []
    for number in range(draw(st.integers(1, 5))):
        ids = draw(st.lists(st.integers(1, 99), min_size=1, max_size=8))
        first = draw(st.lists(st.integers(0, len(ids) - 1), max_size=len(ids), unique=True))
        windows.append(Window(number, ids, list(range(len(first))), sorted(first), [i % 7 for i in ids]))
    return windows


@given(window_lists())
def test_collate_pads_with_zeros_at_the_right(windows):
    arrays = collate(windows)
    pieces, words = max(len(w.ids) for w in windows), max(1, *(len(w.first_pieces) for w in windows), 1)
    assert arrays.ids.shape == arrays.mask.shape == (len(windows), pieces)
    assert arrays.first_pieces.shape == arrays.word_mask.shape == (len(windows), words)
    assert all(array.dtype == np.int64 for array in arrays)
    for row, window in enumerate(windows):
        padding, missing = [0] * (pieces - len(window.ids)), [0] * (words - len(window.first_pieces))
        assert arrays.ids[row].tolist() == window.ids + padding
        assert arrays.mask[row].tolist() == [1] * len(window.ids) + padding
        assert arrays.first_pieces[row].tolist() == window.first_pieces + missing
        assert arrays.word_mask[row].tolist() == [1] * len(window.first_pieces) + missing


@given(st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=9), max_size=6), st.integers(0, 300))
def test_renumbered_windows_are_the_same_pieces(rows, mask_id):
    windows = [Window(0, ids, [0], [0], [0] * len(ids)) for ids in rows]
    pieces = used_pieces(windows, mask_id)
    assert set(pieces.tolist()) == {piece for ids in rows for piece in ids} | {mask_id} | set(range(FIXED_IDS))
    assert pieces[:FIXED_IDS].tolist() == list(range(FIXED_IDS)) and (np.diff(pieces) > 0).all()
    assert [pieces[window.ids].tolist() for window in RenumberedWindows(windows, pieces)] == rows
