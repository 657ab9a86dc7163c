"""What a run keeps of its past: patience, the best epoch, and the way through a checkpoint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.training import history as history_module
from fpplm_core.training.history import DevScore, TrainingHistory

finite = st.floats(allow_nan=False, allow_infinity=False)
histories = st.builds(
    TrainingHistory,
    step=st.integers(0, 10**6),
    every=st.integers(1, 9),
    losses=st.lists(st.dictionaries(st.text(max_size=8), finite, max_size=3), max_size=3),
    lr=st.lists(finite, max_size=3),
    dev_f1=st.lists(st.builds(DevScore, st.integers(0, 10**6), finite), max_size=3),
    frozen=st.lists(st.builds(DevScore, st.integers(0, 10**6), finite), max_size=3),
    gradient_shares=st.lists(st.dictionaries(st.text(max_size=8), st.floats(0, 1), max_size=3), max_size=3),
    best_f1=finite,
    bfloat16=st.sampled_from([None, True, False]),
)


@given(histories)
def test_a_history_survives_its_json_bit_for_bit(history):
    again = TrainingHistory.from_json(history.to_json())
    assert again == history and again.to_json() == history.to_json()
    assert all(isinstance(score, DevScore) for score in [*again.dev_f1, *again.frozen])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(1, 4))
def test_training_stops_after_so_many_epochs_without_a_better_score(scores, patience):
    history = TrainingHistory()
    for epoch, f1 in enumerate(scores, start=1):
        history.add_dev_score(f1, patience)
        best = max(scores[:epoch])
        assert history.best_f1 == best and history.best_epoch == scores.index(best) + 1
        assert history.stopped == (epoch - history.best_epoch >= patience)
        assert history.epoch == epoch


@given(st.integers(1, 70), st.lists(st.integers(1, 9), max_size=8), st.data())
def test_of_many_steps_some_are_recorded_however_they_are_read(most, sizes, data):
    """Every third one, say; a checkpoint of a million steps would otherwise be too large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_module, "MOST_ROWS", most)
        steps, history, first = sum(sizes), TrainingHistory(), 0
        history.limit_rows(steps)
        for size in sizes:
            numbers = range(first, first + size)
            history.add_steps(first, [{"tag": float(n)} for n in numbers], [n / 2 for n in numbers])
            first += size
    assert len(history.lr) <= most
    wanted = list(range(0, steps, max(1, history.every)))
    assert [row["tag"] for row in history.losses] == wanted and history.lr == [n / 2 for n in wanted]
    if steps <= most:
        assert wanted == list(range(steps))


def test_an_equal_score_is_no_better_one():
    history = TrainingHistory()
    for _ in range(3):
        history.add_dev_score(0.5, patience=2)
    assert (history.best_epoch, history.stopped) == (1, True)


def test_the_defaults_are_those_of_a_run_that_has_not_begun():
    first, second = TrainingHistory(), TrainingHistory()
    first.losses.append({"tag": 1.0})
    first.add_dev_score(0.0, 1)
    assert second == TrainingHistory() and not second.losses and second.bfloat16 is None
    with pytest.raises(TypeError):
        TrainingHistory.from_json('{"step": 1, "dev_f1": [], "unknown": 2}')


def test_the_share_of_a_loss_is_that_of_the_steps_in_which_it_acts():
    steps = [{"tag": 1.0, "b": 0.0}, {"tag": 0.25, "b": 0.75, "apart": 0.0}, {"tag": 1.0}]
    history = TrainingHistory(gradient_shares=steps)
    assert history.mean_gradient_shares() == {"tag": 0.75, "b": 0.75, "apart": 0.0}
    assert history.acting_shares() == {"tag": 1.0, "b": 1 / 3, "apart": 0.0}
    assert TrainingHistory().mean_gradient_shares() == TrainingHistory().acting_shares() == {}
