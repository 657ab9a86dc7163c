"""How the modules of an ablation's cell run: watched, ended, or failed."""

import os
from pathlib import Path

import pytest

from fpplm.studies.ablation import grid
from fpplm.studies.choices import choose
from fpplm.studies.outcome import on_dev
from fpplm.studies.plan import Plan
from fpplm.studies.runs import read_curve, result, run_stage_module, should_prune
from fpplm_core.errors import FpplmError, TrainingDiverged
from tests.unit.fpplm.test_ablate import SEARCH, row

TRAINING = """
import time
from fpplm.session.progress import write_epochs
from fpplm_core.training.history import DevScore
scores = []
for epoch in range({epochs}):
    scores.append(DevScore(epoch, epoch / 10))
    write_epochs(scores)
    time.sleep({pause})
{end}
"""


@pytest.fixture
def cells():
    plan = Plan(seeds=[1], corpora={"c": {}}, arms={"plain": {}, "other": {}}, search=SEARCH | {"present": True})
    return list(grid(plan, {}, final=False))


def training(folder, epochs=3, pause=0.0, end=""):
    (folder / "training.py").write_text(TRAINING.format(epochs=epochs, pause=pause, end=end))
    return folder


def test_a_training_that_is_pruned_is_ended_and_its_curve_kept(tmp_path, cells):
    seen = []
    folder = training(tmp_path, epochs=100, pause=0.5)
    usage = run_stage_module("training", folder, 1, cells[0], lambda curve: seen.append(curve) or len(curve) >= 2)
    assert usage.pruned and usage.seconds < 40 and usage.peak_kb > 0
    assert seen[0][0] == 0.0 and 2 <= len(read_curve(folder)) < 100


def test_a_training_that_ends_by_itself_is_not_pruned(tmp_path, cells):
    usage = run_stage_module("training", training(tmp_path, pause=0.3), 1, cells[0], lambda curve: False)
    assert not usage.pruned and read_curve(tmp_path) == [0.0, 0.1, 0.2]


def test_a_training_that_ends_just_before_it_is_pruned_counts(tmp_path, cells):
    def watch(curve):
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        os.waitid(os.P_PID, int(children[-1]), os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has been told
        return True

    usage = run_stage_module("training", training(tmp_path), 1, cells[0], watch)
    assert not usage.pruned and read_curve(tmp_path) == [0.0, 0.1, 0.2]


def test_a_training_that_fails_is_an_error_with_the_end_of_its_log(tmp_path, cells):
    with pytest.raises(FpplmError, match=r"c, plain, seed 1: training failed.*out of luck"):
        run_stage_module("training", training(tmp_path, end="raise SystemExit('out of luck')"), 1, cells[0])


def test_a_trial_that_diverges_is_a_row_that_cannot_win(tmp_path, cells):
    diverging = f"raise SystemExit({TrainingDiverged.exit_code})"
    present, trial = (next(c for c in cells if (c.arm, c.trial) == ("plain", number)) for number in (0, 1))
    for cell, epochs, best in ((present, 0, 0.0), (trial, 3, 0.2)):
        folder = tmp_path / str(epochs)
        folder.mkdir()
        training(folder, epochs=epochs, end=diverging)
        usage = run_stage_module("training", folder, 1, cell)
        row = result(cell, folder, {"commit": None}, usage)
        assert row.pruned and row.dev_f1 == best and choose([row]) == {}
        assert row.ended == f"diverged after {epochs} epochs, "
    with pytest.raises(FpplmError, match="training failed"):  # outside of a search, it is an error
        run_stage_module("training", training(tmp_path, end=diverging), 1, present._replace(trial=None))
    assert "| c | plain | 1 | 1 |  |" in on_dev([row])


def test_a_trial_is_compared_with_those_of_its_own_arm_and_corpus(cells):
    present, trial = (next(c for c in cells if (c.arm, c.trial) == ("plain", number)) for number in (0, 1))
    good = [0.5] * 24
    own = [row(trial, curve=good, key=str(number)) for number in range(2)]
    others = [
        row(trial, arm="other", curve=good),
        row(trial, corpus="d", curve=good),
        row(trial, trial=None, curve=good),
    ]
    bad = [0.1] * 12
    assert should_prune(own, trial, bad) and not should_prune(others + own[:1], trial, bad)
    assert not should_prune(own, present, bad)  # the arm as it is is what the others are compared with
