"""`fpplm update`: what becomes of a project's copies when the template has changed."""

from __future__ import annotations

import copy
import subprocess
import tomllib
from pathlib import Path

import pytest

from fpplm.project import template, update
from fpplm_core.errors import DataError
from fpplm_core.params import Params
from fpplm_core.settings import read_yaml
from tests.conftest import ROOT

OLD = {
    "tasks/read.py": "old read\n",
    "tasks/gone.py": "old gone\n",
    "dvc.yaml": "old: graph\n",
    "params.yaml": "data:\n  path: a  # a folder\n  words: rules\n  clip: 1.0\ngate:\n  type_f1: {}\n",
}
NEW = {
    "tasks/read.py": "new read\n",
    "tasks/added.py": "new stage\n",
    "dvc.yaml": "new: graph\n",
    "params.yaml": "data:\n  path: a  # the folder\n  segmentation: rules\n  seed: 1  # any\ngate:\n  type_f1: {}\n",
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def git(*arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project made from the old template, committed; the template is the new one by now."""
    monkeypatch.setattr(template, "INSTALLED", tmp_path / "template")
    monkeypatch.setattr(update, "MOVED", {"data.words": "data.segmentation", "data.clip": None})
    monkeypatch.setattr(update, "load", lambda path: None)  # these are no whole params.yaml
    write(tmp_path / "template", OLD)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    lock = template.template_lock()
    template.copy_template(list(lock.files))
    template.write_lock(lock)
    git("init", "--quiet")
    git("add", "-A")
    git("commit", "-qm", "made")
    assert not update.update_due()
    for name in OLD:
        (tmp_path / "template" / name).unlink()
    write(tmp_path / "template", NEW)
    (tmp_path / "template/tasks/__pycache__").mkdir()
    (tmp_path / "template/tasks/__pycache__/read.cpython-311.pyc").write_text("no source")
    return tmp_path / "project"


def files() -> dict[str, str]:
    return {str(p): p.read_text() for p in sorted(Path().rglob("*")) if p.is_file() and ".git" not in p.parts}


def test_what_was_left_alone_becomes_the_new_template(project: Path) -> None:
    assert update.update_due()
    lines = update.update()
    assert "tasks/read.py: replaced" in lines and "tasks/added.py: added" in lines
    assert "tasks/gone.py: deleted; fpplm no longer has this file" in lines
    after = files()
    assert set(after) == {*NEW, "template.lock"}
    assert all(after[name] == text for name, text in NEW.items() if name != "params.yaml")
    assert not update.update_due()
    assert update.update() == [f"up to date with fpplm {template.template_lock().fpplm}"] and files() == after


def test_what_was_edited_stays_and_the_new_file_stands_beside_it(project: Path) -> None:
    Path("tasks/read.py").write_text("mine\n")
    Path("tasks/gone.py").write_text("mine too\n")
    Path("tasks/added.py").write_text("mine, of the same name\n")
    lines = update.update()
    assert Path("tasks/read.py").read_text() == "mine\n" and Path("tasks/read.py.new").read_text() == "new read\n"
    assert Path("tasks/gone.py").read_text() == "mine too\n" and not Path("tasks/gone.py.new").exists()
    assert Path("tasks/added.py").read_text() == "mine, of the same name\n"
    assert Path("tasks/added.py.new").read_text() == "new stage\n"
    assert sum("because you have edited it" in line for line in lines) == 3
    Path("tasks/read.py.new").unlink()
    assert len(update.update()) == 1 and not Path("tasks/read.py.new").exists(), "it is said once"


def test_what_was_deleted_stays_deleted(project: Path) -> None:
    for name in ("tasks/read.py", "tasks/gone.py"):
        Path(name).unlink()
    update.update()
    assert set(files()) == {*NEW, "template.lock"} - {"tasks/read.py"}


def test_a_file_that_is_the_new_one_already_is_not_mentioned(project: Path) -> None:
    Path("tasks/read.py").write_text(NEW["tasks/read.py"])
    assert not [line for line in update.update() if line.startswith("tasks/read.py")]


@pytest.mark.parametrize("edited", [False, True])
def test_a_project_without_a_lock_is_held_against_its_first_commit(project: Path, edited: bool) -> None:
    Path("template.lock").unlink()
    Path("tasks/read.py").write_text("mine\n") if edited else None
    git("add", "-A")
    git("commit", "-qm", "the lock is gone, as if it had never been")
    assert update.update_due()
    update.update()
    assert Path("dvc.yaml").read_text() == NEW["dvc.yaml"]
    assert Path("tasks/read.py").read_text() == ("mine\n" if edited else NEW["tasks/read.py"])
    assert Path("tasks/read.py.new").exists() == edited
    assert Path("tasks/gone.py").exists(), "nothing says that it was ever ours"


def test_without_git_and_without_a_lock_nothing_is_overwritten(project: Path) -> None:
    Path("template.lock").unlink()
    Path(".git").rename("../hidden")
    before = files()
    update.update()
    after = files()
    assert {name: after[name] for name in before} == before
    assert {"tasks/read.py.new", "dvc.yaml.new", "params.yaml.new", "tasks/added.py"} <= after.keys()


def test_parameters_keep_their_values_under_their_new_names(project: Path) -> None:
    text = OLD["params.yaml"].replace("path: a", "path: mine").replace("type_f1: {}", "type_f1: {PER: 0.9}")
    Path("params.yaml").write_text(text.replace("words: rules", "words: blanks") + "mine:\n  own: 3\n")
    git("commit", "-qam", "values of mine")
    lines = update.update()
    values = read_yaml("params.yaml")
    assert values == {
        "data": {"path": "mine", "segmentation": "whitespace", "seed": 1},
        "gate": {"type_f1": {"PER": 0.9}},
    }
    assert "# the folder" in Path("params.yaml").read_text() and "# any" in Path("params.yaml").read_text()
    assert "params.yaml: renamed: data.words → data.segmentation" in lines
    assert "params.yaml: no longer there: data.clip (was 1.0), mine.own (was 3)" in lines
    assert "params.yaml: new: data.seed" in lines


def test_the_parameters_of_fpplm_0_1_become_those_of_now() -> None:
    """Severities that differ from a check's own stay; of two keys that are one now, a second value is named."""
    template = read_yaml(ROOT / "params.yaml")
    own = copy.deepcopy(template)
    del own["data"]["segmentation"], own["data"]["held_out"], own["check"]["severity"], own["train"]["f1_shift"]
    own["data"] |= {"words": "rules", "dev_fraction": 0.1, "test_fraction": 0.3}
    own["check"] |= {"leakage": "error", "duplicate": "warning", "max_word": 100}
    own["train"]["lean"] = 0.25
    own["evaluate"] = {"bootstrap": 100, "confidence": 0.95}
    values, lines = update.carry_over(own, template)
    assert Params.parse(values, "params.yaml").check.severity == {"leakage": "error"}
    assert (values["data"]["segmentation"], values["data"]["held_out"]) == ("unicode", 0.1)
    assert values["train"]["f1_shift"] == 0.25
    gone = next(line for line in lines if "no longer there" in line)
    assert "data.test_fraction (was 0.3)" in gone and "evaluate.bootstrap (was 100)" in gone
    assert not any("duplicate" in line for line in lines)


def test_schedules_of_techniques_that_work_differently_now_are_not_carried_over() -> None:
    template = read_yaml(ROOT / "params.yaml")
    own = copy.deepcopy(template)
    blocks = own["technique"]
    blocks["fuzzy_regions"] = {"frozen_until": 0.03, "open_by": 0.1, "warmup": 0.02, "order": "top_down", "probes": 8}
    blocks["resampling"] = {"share": 0.7, "proportion": 1.0, "floor": 0.2, "dense_until": 0.15, "dense_from": 0.75}
    blocks["label_lm"] |= {"begin": 0.3, "full": 0.4, "init_steps": 4}
    found = Params.parse(update.carry_over(own, template)[0], "params.yaml").technique
    shipped = Params.parse(template, "params.yaml").technique
    assert found.fuzzy_regions == shipped.fuzzy_regions.model_copy(update={"open_by": 0.1})
    assert found.resampling == shipped.resampling.model_copy(update={"proportion": 1.0})
    assert found.label_lm == shipped.label_lm


def test_parameters_that_git_does_not_hold_are_not_overwritten(project: Path) -> None:
    text = OLD["params.yaml"].replace("path: a", "path: mine")
    Path("params.yaml").write_text(text)
    update.update()
    assert Path("params.yaml").read_text() == text
    assert read_yaml("params.yaml.new")["data"]["path"] == "mine"


def test_equal_keys_leave_the_text_as_it_is(project: Path, tmp_path: Path) -> None:
    (tmp_path / "template/params.yaml").write_text(OLD["params.yaml"].replace("# a folder", "# another comment"))
    before = Path("params.yaml").read_text().replace("type_f1: {}", "type_f1: {PER: 0.5}")
    Path("params.yaml").write_text(before)
    update.update()
    assert Path("params.yaml").read_text() == before


@pytest.mark.parametrize("name", ["tasks.py", "flows.py"])
def test_a_module_of_the_user_s_is_not_hidden(project: Path, name: str) -> None:
    Path(name).write_text("mine\n")
    before = files()
    with pytest.raises(DataError, match="would hide it"):
        update.update()
    assert files() == before


def test_a_checkout_has_nothing_to_update(project: Path) -> None:
    Path("fpplm_core").mkdir()
    before = files()
    assert "checkout" in update.update()[0] and not update.update_due() and files() == before


def test_the_template_of_this_checkout_is_what_the_wheel_gets() -> None:
    names = set(template.template_files())
    assert {"dvc.yaml", "params.yaml", ".gitignore", "tasks/read.py", "flows/retrain.py"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("fpplm")]


def test_docker_gets_every_file_of_the_template() -> None:
    wheel = tomllib.loads((template.CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    allowed = (template.CHECKOUT / ".dockerignore").read_text().split()
    assert {f"!{name}" for name in wheel["force-include"]} <= set(allowed)
