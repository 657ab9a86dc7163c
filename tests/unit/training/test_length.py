"""How long a run is where params.yaml says auto."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.errors import ParamsError
from fpplm_core.params import load
from fpplm_core.training import length
from fpplm_core.training.history import TrainingHistory
from fpplm_core.training.length import epochs_of, patience_of, warmup_of
from fpplm_core.training.settings import TrainSettings
from tests.conftest import ROOT

SHIPPED = load(ROOT / "params.yaml").train
AUTO = SHIPPED.model_copy(update={"epochs": "auto", "warmup": "auto", "patience": "auto"})
FIXED = SHIPPED.model_copy(update={"epochs": 7, "warmup": 0.25, "patience": 2})


@pytest.mark.parametrize(
    ("steps", "epochs"),
    [(1, 40), (18, 40), (31, 24), (57, 13), (125, 6), (10_000, 6)],  # 125: the bundled corpus; 31: 246 sentences of it
)
def test_small_data_gets_more_epochs(steps, epochs):
    assert epochs_of(AUTO, steps, warm=False) == epochs


@given(st.integers(1, 5000))
def test_a_run_has_its_steps_unless_that_takes_too_many_epochs(steps):
    epochs = epochs_of(AUTO, steps, warm=False)
    assert 6 <= epochs <= 40
    assert epochs in (6, 40) or abs(epochs * steps - length.STEPS) <= steps / 2
    assert epochs != 40 or epochs * steps <= length.STEPS + steps / 2


@given(st.integers(1, 100_000))
def test_the_warm_up_is_a_tenth_but_some_steps_at_least(steps):
    share = warmup_of(AUTO, steps)
    assert 0.1 <= share <= 0.3
    assert share == 0.3 or share * steps >= length.WARMUP_STEPS - 1e-9


def test_patience_does_not_cut_a_long_run_early_by_accident():
    assert [patience_of(AUTO, epochs) for epochs in (1, 6, 12, 25, 40)] == [4, 4, 4, 9, 14]
    # Dev F1 of a run that pauses while its rate is high, and rises once it falls.
    curve = [0.1 * min(n, 5) for n in range(13)] + [0.5 + 0.01 * n for n in range(1, 13)]
    history = TrainingHistory()
    for f1 in curve:
        assert not history.stopped
        history.add_dev_score(f1, patience_of(AUTO, len(curve)))
    assert history.best_epoch == len(curve)


@given(st.integers(1, 100_000))
def test_a_warm_start_takes_a_share_of_the_epochs(steps):
    assert epochs_of(AUTO, steps, warm=True) == max(1, round(length.WARM_SHARE * epochs_of(AUTO, steps, warm=False)))
    assert epochs_of(FIXED, steps, warm=True) == FIXED.epochs


def test_numbers_are_taken_as_they_are():
    assert (epochs_of(FIXED, 3, warm=False), warmup_of(FIXED, 3), patience_of(FIXED, 40)) == (7, 0.25, 2)


@pytest.mark.parametrize("name", ["epochs", "warmup", "patience"])
def test_no_other_word_is_taken(name):
    with pytest.raises(ParamsError, match=rf"train: {name}: .*auto"):
        TrainSettings.parse({**SHIPPED.model_dump(), name: "automatic"}, "train")
