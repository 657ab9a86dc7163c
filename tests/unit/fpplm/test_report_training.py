"""The curves of a training and what each technique did, as the page shows them."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from fpplm.report.training import ABOUT, DRAWN_ROWS, WHOLE, measurements, read_curves, techniques
from fpplm_core.training.history import DevScore
from fpplm_core.training.result import FrozenPhase, TrainingFindings
from fpplm_core.training.techniques import names


@given(length=st.integers(1, 2000))
def test_a_long_training_becomes_means_over_equal_stretches_to_its_end(length, tmp_path_factory):
    path = tmp_path_factory.mktemp("curves") / "steps.csv"
    path.write_text("step,tag\n" + "".join(f"{n},{n}\n" for n in range(1, length + 1)))
    found = read_curves(path)
    assert len(found.rows) <= DRAWN_ROWS + 1 and found.rows[-1][0] == length
    assert [step for step, _ in found.rows] == sorted({step for step, _ in found.rows})
    for step, (value,) in found.rows:
        assert step - found.every < value <= step


def test_what_is_not_finite_is_left_out_and_counted_and_what_was_off_is_empty(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("step,tag,late\n1,2,\n2,nan,\n3,inf,\n4,1,5\n")
    found = read_curves(path)
    assert found.columns == ["tag", "late"] and found.not_finite == {"tag": 2}
    assert found.rows == [(1, [2.0, None]), (2, [None, None]), (3, [None, None]), (4, [1.0, 5.0])]
    assert all(value is None or math.isfinite(value) for _, values in found.rows for value in values)


def test_no_file_or_an_empty_one_is_no_curve(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    assert read_curves(tmp_path / "empty.csv").rows == read_curves(tmp_path / "none.csv").rows == []


def test_each_technique_gets_its_phases_numbers_shares_and_losses():
    findings = {
        "label_lm": {"taught": 0.1, "by": {"A": 1}},
        "gradient_share": {"tag": 0.7, "label_lm.write": 0.3},
        "acting_share": {"tag": 1.0, "label_lm.write": 0.25},
        "frozen_phase": {"steps": 100},
        "phases": {
            "learning rate": {"rises": [0.0, 0.1], "never": [1.0, 1.0]},
            "label_lm": {"b": [0.5, 1], "a": [0, 1]},
        },
        "movement": [],
    }
    first, second, whole = techniques(findings, ["tag", "lr", "label_lm.write"])
    assert (first.name, first.numbers) == ("fuzzy_regions", [("frozen phase: steps", 100)])
    assert second.numbers == [
        ("taught", 0.1),
        ("by A", 1),
        ("write: share of the gradient in steps in which it acts", 0.3),
        ("write: share of the measured steps in which it acts", 0.25),
    ]
    assert second.phases == [("a", 0, 1), ("b", 0.5, 1)] and second.losses == ["label_lm.write"] and second.about
    assert whole.name == WHOLE and whole.phases == [("learning rate: rises", 0.0, 0.1)]
    assert whole.numbers == [
        ("tag: share of the gradient in steps in which it acts", 0.7),
        ("tag: share of the measured steps in which it acts", 1.0),
    ]


def test_every_technique_is_explained():
    assert ABOUT.keys() == {*names(), "self_training"} and all(ABOUT.values())


def test_the_frozen_phase_and_the_shares_of_the_gradient_are_measurements():
    phase = FrozenPhase(100, 0.5, [DevScore(50, 0.5), DevScore(100, 0.4)])
    shares = {"tag": 0.75, "label_lm.write": 0.25}
    wanted = {("gradient_share", *row) for row in shares.items()}
    for frozen, own in ((phase, {("frozen_phase", "steps", 100), ("frozen_phase", "dev_f1", 0.5)}), (None, set())):
        written = json.loads(json.dumps(TrainingFindings({}, {}, [], frozen, shares, {}).to_dict()))
        assert set(measurements(written)) == wanted | own
