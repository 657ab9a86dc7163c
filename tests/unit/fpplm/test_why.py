"""What is said to have changed since a stage's last recorded run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import yaml
from dvc.repo import Repo

from fpplm.pipeline.code import write_code
from fpplm.pipeline.inputs import write_inputs
from fpplm.pipeline.why import UNKNOWN, line, lines, source_changes, why
from fpplm.project.stages import require_one_state
from fpplm_core.errors import DataError, InputsChanged
from fpplm_core.params import Params
from tests.unit.fpplm.conftest import FILES, enter

# `environment` keeps what the test has written: it stands for the stage that writes it.
GRAPH = """
stages:
  environment:
    cmd: "true"
    always_changed: true
    outs: [build/code: {persist: true}, build/inputs: {persist: true}]
  read:
    cmd: mkdir -p build/corpus && cp data/corpus.txt build/corpus/all.txt
    params: [data]
    deps: [data, build/code/read.json, build/inputs/unlabelled.json]
    outs: [build/corpus]
  train:
    cmd: cp build/corpus/all.txt build/model
    params: [train, model.encoder]
    deps: [build/corpus, build/code/train.json, build/inputs/encoder.json]
    outs: [build/model]
"""
PARAMS = "data: {path: data}\nmodel: {encoder: encoder}\ntrain: {lr: 0.0003, layers: [1, 2]}\n"
MODEL = SimpleNamespace(encoder="encoder", revision=None, start=None)
SETTINGS = cast(Params, SimpleNamespace(model=MODEL, data=SimpleNamespace(path="data", unlabelled="text")))


def run() -> None:
    write_code()
    write_inputs(SETTINGS)
    with Repo() as repo:
        repo.reproduce("train")


def told(stage: str = "train") -> list[str]:
    return lines(stage, why(stage, SETTINGS))


def edit(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has run; tests change copies of it."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        edit("dvc.yaml", GRAPH)
        edit("params.yaml", PARAMS)
        edit("data/corpus.txt", "a\n")
        edit("encoder/model.safetensors", "weights")
        Repo.init(no_scm=True).close()
        run()
    return folder


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = shutil.copytree(finished, tmp_path / "project")
    enter(copy, monkeypatch)
    return copy


CHANGED_SUMS = ["code: smallcore.sums", f"package: numpy {metadata.version('numpy')} → none"]  # by "x = 1"
CHANGES: dict[str, tuple[Callable[[], None], list[str]]] = {
    "nothing": (lambda: None, ["nothing changed"]),
    "comment": (lambda: edit("tasks/train.py", FILES["tasks/train.py"] + "# x\n"), ["nothing changed"]),
    "code": (lambda: edit("smallcore/plugins/first.py", "import yaml\n\nX = 1\n"), ["code: smallcore.plugins.first"]),
    "new code": (lambda: edit("smallcore/plugins/second.py", ""), ["code: smallcore.plugins.second (new)"]),
    "code that is gone": (
        lambda: Path("smallcore/plugins/first.py").unlink(),
        ["code: smallcore.plugins.first (gone)", f"package: PyYAML {metadata.version('PyYAML')} → none"],
    ),
    "a file beside code": (lambda: edit("tasks/list.txt", "x"), [
        "file: tasks/list.txt (new)",
        "read, which runs before it: file: tasks/list.txt (new)",
    ]),
    "parameter": (
        lambda: edit("params.yaml", PARAMS.replace("0.0003", "0.0001")),
        ["parameter: train.lr 0.0003 → 0.0001"],
    ),
    "list": (lambda: edit("params.yaml", PARAMS.replace("[1, 2]", "[1]")), ["parameter: train.layers [1, 2] → [1]"]),
    "new parameter": (
        lambda: edit("params.yaml", PARAMS.replace("lr:", "deep: {er: null}, lr:")),
        ["parameter: train.deep.er none → null"],
    ),
    "parameter of the stage before": (
        lambda: edit("params.yaml", PARAMS.replace("path: data", "path: data, seed: 1")),
        ["read, which runs before it: parameter: data.seed none → 1"],
    ),
    "data": (lambda: edit("data/corpus.txt", "b\n"), ["read, which runs before it: data: data"]),
    "encoder": (lambda: edit("encoder/model.safetensors", "Weights!"), ["input: encoder/model.safetensors"]),
    "more of the encoder": (lambda: edit("encoder/vocab.txt", "a"), ["input: encoder/vocab.txt (new)"]),
    "unlabelled text": (
        lambda: edit("text/a.txt", "Ann"),
        ["read, which runs before it: input: unlabelled/a.txt (new)"],
    ),
    "result": (lambda: Path("build/model").unlink(), ["output: build/model (deleted)"]),
    "command": (
        lambda: edit("dvc.yaml", GRAPH.replace("cp build/corpus", "cp  build/corpus")),
        ["command: cp  build/corpus/all.txt build/model"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("change, expected", CHANGES.values(), ids=CHANGES)
def test_a_change_is_told(project: Path, change: Callable[[], None], expected: list[str]) -> None:
    change()
    assert told() == expected


def test_a_package_that_was_replaced(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "99.0" if name == "numpy" else real(name))
    assert told() == [f"package: numpy {real('numpy')} → 99.0"]


def test_it_is_told_until_the_stage_has_run_also_where_a_run_was_killed_before_it(project: Path) -> None:
    edit("smallcore/sums.py", "x = 1\n")
    write_code()
    with Repo() as repo:
        repo.reproduce("environment")  # and no further
    assert told() == CHANGED_SUMS
    run()
    assert told() == ["nothing changed"]


def test_a_stage_that_never_ran(project: Path) -> None:
    Path("dvc.lock").unlink()
    assert told("read") == ["run: it has no recorded run"]


@pytest.mark.parametrize(
    ("record", "change"),
    [("code/read", "code: no fingerprint was recorded"), ("inputs/unlabelled", "input: no unlabelled was recorded")],
)
def test_what_an_older_record_lacks_is_said(project: Path, record: str, change: str) -> None:
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    deps = lock["stages"]["read"]["deps"]
    assert any(entry["path"] == f"build/{record}.json" for entry in deps)
    deps[:] = [entry for entry in deps if entry["path"] != f"build/{record}.json"]
    edit("dvc.lock", yaml.safe_dump(lock))
    assert told("read") == [change]


def test_a_clone_knows_it_once_the_cache_is_fetched(project: Path) -> None:
    for folder in ("build", ".fpplm"):
        shutil.rmtree(folder)
    edit("smallcore/sums.py", "x = 1\n")
    missing = ["data: build/corpus (deleted)", "output: build/model (deleted)"]
    assert [one for one in told() if "which runs before it" not in one] == [missing[0], *CHANGED_SUMS, missing[1]]
    shutil.move(".dvc/cache", "elsewhere")
    assert f"code: {UNKNOWN}" in told()
    assert not set(CHANGED_SUMS) & set(told())


def test_unchanged_code_needs_no_cache(project: Path) -> None:
    shutil.rmtree(".dvc/cache")
    assert told() == [
        "output: build/model (not in cache)",
        "read, which runs before it: output: build/corpus (not in cache)",
    ]


def test_an_unknown_stage_is_named(project: Path) -> None:
    with pytest.raises(DataError, match="no such stage, got 'trian'; name one of environment, read, train"):
        why("trian", SETTINGS)


def test_what_is_told_is_what_dvc_would_run(project: Path) -> None:
    """DVC's own answer, from the files that `environment` has written."""
    edit("smallcore/sums.py", "x = 1\n")
    write_code()
    shown = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "train"], capture_output=True, text=True, check=True
    ).stdout
    assert "build/code/train.json" in shown
    assert "build/code/read.json" not in shown
    assert {name: len(changes) for name, changes in why("train", SETTINGS).items()} == {"read": 0, "train": 2}


def test_what_a_clone_lacks_is_no_change_of_a_source(project: Path) -> None:
    shutil.rmtree("build/corpus")
    Path("build/model").unlink()
    assert "output: build/model (deleted)" in told()
    assert source_changes("train", SETTINGS) == []
    edit("data/corpus.txt", "b\n")
    assert [line(change) for change in source_changes("train", SETTINGS)] == ["data: data"]


def test_what_a_stage_before_has_made_anew_is_a_change_of_a_source(project: Path) -> None:
    """As after a training that failed: `read` has run for the new data, `train` has not."""
    edit("data/corpus.txt", "b\n")
    with Repo() as repo:
        repo.reproduce("read", single_item=True)
    for _ in range(2):  # in a clone too, which has no outputs
        assert [line(change) for change in source_changes("train", SETTINGS)] == ["data: build/corpus"]
        shutil.rmtree("build/corpus", ignore_errors=True)
    run()
    assert source_changes("train", SETTINGS) == []


def test_stages_with_different_states_of_an_input_are_refused(project: Path) -> None:
    require_one_state()
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    (corpus,) = (entry for entry in lock["stages"]["train"]["deps"] if entry["path"] == "build/corpus")
    corpus["md5"] = "0" * 32 + ".dir"
    edit("dvc.lock", yaml.safe_dump(lock))
    with pytest.raises(InputsChanged, match=r"build/corpus: edited between two stages; run fpplm retrain"):
        require_one_state()
    lock["stages"]["gone"] = lock["stages"].pop("train")  # a stage that dvc.yaml had once
    edit("dvc.lock", yaml.safe_dump(lock))
    require_one_state()


def test_stages_with_different_values_of_a_parameter_are_refused(project: Path) -> None:
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    for value, name in enumerate(("read", "train")):
        lock["stages"][name].setdefault("params", {})["params.yaml"] = {"data": {"path": "data", "held_out": value}}
    edit("dvc.lock", yaml.safe_dump(lock))
    with pytest.raises(InputsChanged, match=r"params\.yaml\.data\.held_out: edited between two stages"):
        require_one_state()
