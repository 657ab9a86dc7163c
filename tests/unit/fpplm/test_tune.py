"""What fpplm tune searches, and what it says."""

import shutil

import pytest
from typer.testing import CliRunner

from fpplm.cli.main import app
from fpplm.project.overrides import write_values
from fpplm.studies import tuning
from fpplm.studies.ablation import by_key, cells_of
from fpplm.studies.ledger import append_row
from fpplm.studies.plan import changed, read_plan
from fpplm.studies.runs import write_params
from fpplm_core.errors import FpplmError, ParamsError
from fpplm_core.params import load
from fpplm_core.settings import read_yaml
from tests.conftest import ROOT
from tests.unit.fpplm.test_ablate import row

PARAMS = load(ROOT / "params.yaml")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "FOLDER", tmp_path)
    monkeypatch.setattr(tuning, "PLAN", tmp_path / "plan.yaml")
    return tmp_path


def finish(folder, scores):
    for cell, (dev_f1, pruned) in zip(cells_of(folder / "plan.yaml", folder, final=False), scores, strict=True):
        append_row(folder / "runs.jsonl", row(cell, dev_f1=dev_f1, pruned=pruned))


def test_the_plan_begins_with_the_project_as_it_is_and_searches_around_it(folder):
    plan = read_plan(tuning.write_plan(PARAMS, 5, None))
    assert plan.seeds == [PARAMS.train.seed] and plan.search.present and plan.search.trials == 5
    rates = plan.search.space["train.lr"]
    assert rates.low < PARAMS.train.lr < rates.high < 1
    cells = cells_of(folder / "plan.yaml", folder, final=False)
    assert len(cells) == 6 and cells[0].values == {}
    before = read_yaml(ROOT / "params.yaml")
    assert cells[0].settings == {**before, "data": {**before["data"], "test": before["data"]["dev"]}}


def test_a_space_of_ones_own_may_name_any_parameter_and_no_other(folder):
    tuning.write_plan(PARAMS, 2, {"technique.adversarial.epsilon": [0, 0.5], "model.dropout": [0.0]})
    cells = cells_of(folder / "plan.yaml", folder, final=False)
    assert {cell.settings["model"]["dropout"] for cell in cells[1:]} == {0.0}
    tuning.write_plan(PARAMS, 2, {"train.lrr": [1]})
    with pytest.raises(ParamsError, match=r"unknown parameter, got 'train.lrr'"):
        cells_of(folder / "plan.yaml", folder, final=False)
    for wrong in (
        {"train.lr": 3},
        ["train.lr"],
        {"train.lr": {"low": 0, "high": 1}},
        {"train.lr": {"low": 2, "high": 1}},
        {"train.lr": []},
        {},
    ):
        with pytest.raises(ParamsError, match="the space"):
            tuning.write_plan(PARAMS, 2, wrong)


def test_an_empty_file_is_no_space(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, name)
    (tmp_path / "space.yaml").write_text("# train.lr: [1.0e-5]\n")
    done = CliRunner().invoke(app, ["tune", "--space", "space.yaml"])
    assert isinstance(done.exception, ParamsError)
    assert str(done.exception) == "the space: search.space: must have at least 1 item, got {}"


def test_texts_that_look_like_numbers_stay_texts(folder):
    tuning.write_plan(PARAMS, 1, {"model.revision": ["1234567e8"]})
    cell = cells_of(folder / "plan.yaml", folder, final=False)[1]
    assert cell.settings["model"]["revision"] == "1234567e8"
    write_params(cell, folder)
    assert load(folder / "params.yaml").model.revision == "1234567e8"


def test_the_best_trial_that_was_not_pruned_is_shown_with_its_gain(folder):
    tuning.write_plan(PARAMS, 3, None)
    finish(folder, [(0.6, False), (0.9, True), (0.65, False), (0.5, False)])
    found = tuning.tuned()
    assert found.best.trial == 2 and found.present.trial == 0
    text = "\n".join(tuning.lines(found))
    assert text.count("dev F1") == 4 and "params.yaml as it is" in text and "pruned after 2 epochs" in text
    assert "best: +0.0500 over params.yaml" in text
    assert f"train.lr: {found.best.values['train.lr']}" in text


def test_nothing_is_gained_over_a_trial_that_diverged(folder):
    tuning.write_plan(PARAMS, 2, None)
    finish(folder, [(0.6, True), (0.5, False), (0.4, False)])
    found = tuning.tuned()
    assert found.best.trial == 1 and "best: 0.5000, on dev, which chose it" in tuning.lines(found)


def test_a_search_in_which_every_trial_diverged_shows_them_and_is_an_error(folder, monkeypatch):
    monkeypatch.setattr("fpplm.cli.pipeline.run_flow", lambda *_, **__: finish(folder, [(0.1, True), (0.2, True)]))
    monkeypatch.chdir(folder)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, name)
    (folder / PARAMS.data.path).mkdir(parents=True)
    done = CliRunner().invoke(app, ["tune", "--trials", "1", "--write"])
    assert done.output.count("pruned after 2 epochs") == 2 and isinstance(done.exception, FpplmError)
    assert str(done.exception).startswith("every trial diverged or was pruned; lower train.lr")


def test_nothing_is_proposed_where_the_project_is_the_best(folder):
    tuning.write_plan(PARAMS, 1, None)
    finish(folder, [(0.6, False), (0.6, False)])
    assert not tuning.tuned().best.values
    assert list(tuning.lines(tuning.tuned()))[-1] == "no trial is better than params.yaml as it is"


def test_nothing_is_proposed_again_after_it_was_written(folder):
    tuning.write_plan(PARAMS, 4, {"train.lr": [PARAMS.train.lr, 1e-5]})
    now, other = by_key(cells_of(folder / "plan.yaml", folder, final=False)).values()
    append_row(folder / "runs.jsonl", row(now, dev_f1=0.7, trial=3, values={"train.lr": PARAMS.train.lr}))
    append_row(folder / "runs.jsonl", row(other, dev_f1=0.6))
    found = tuning.tuned()
    assert found.present.values == found.best.values == {} and found.present.trial == 0 and len(found.rows) == 2
    assert list(tuning.lines(found))[-1] == "no trial is better than params.yaml as it is"


def test_chosen_values_are_written_and_nothing_else_changes(tmp_path):
    file = tmp_path / "params.yaml"
    before = (ROOT / "params.yaml").read_text().splitlines()
    file.write_text("\n".join(before) + "\n")
    write_values(file, changed(read_yaml(file), {"train.lr": 0.000129, "technique.label_lm.width": 64}, str(file)))
    after = file.read_text().splitlines()
    lines = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(lines) == 2 and all(old.partition("#")[2] == new.partition("#")[2] for old, new in lines)
    assert load(file).train.lr == 0.000129 and load(file).technique.label_lm.width == 64
