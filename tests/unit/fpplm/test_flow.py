"""Commands that run a flow of the project, and what the retraining tells of a failure.

A flow that is missing, or fits another version, is an error in one line.
"""

from __future__ import annotations

import errno
import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fpplm.promotion import history
from fpplm.registry.lineage import Lineage
from fpplm.report.run import Verdict
from fpplm_core.errors import DataError, InputsChanged
from fpplm_core.evaluation.settings import PromotionSettings
from tests.project import Project

OLDER = "def predict(bundle, sources, folder, kind='jsonl', device='auto'):\n    print('ran')\n"


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        (None, "flows/predict.py: no such flow here"),
        (OLDER, "flows/predict.py: made for another version of fpplm, got unexpected keyword argument 'resume'"),
        ("import fpplm.nowhere\n", "flows/predict.py: made for another version of fpplm"),
    ],
    ids=["none", "other arguments", "other imports"],
)
def test_a_flow_that_does_not_fit_is_named(tmp_path: Path, flow: str | None, said: str) -> None:
    (tmp_path / "dvc.yaml").touch()
    if flow is not None:
        (tmp_path / "flows").mkdir()
        (tmp_path / "flows/__init__.py").touch()
        (tmp_path / "flows/predict.py").write_text(flow)
    done = Project(tmp_path).run("fpplm", "predict", "bundle", "texts.txt", "--folder", "out")
    assert done.returncode == 3 and done.stdout == ""
    assert said in done.stderr and "fpplm update" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("folder", ["afile", "afile/new/folder"])
def test_a_file_is_no_folder_for_outputs(tmp_path: Path, folder: str) -> None:
    """Which is said before the flow is imported, and with it Prefect."""
    for name in ("dvc.yaml", "afile"):
        (tmp_path / name).touch()
    done = Project(tmp_path).run("fpplm", "predict", "bundle", "texts.txt", "--folder", folder)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "afile: not a folder; name a new folder" in done.stderr


@pytest.fixture
def retrain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, list[Verdict]]]:
    """The module of the flow, whose first stage fails after a file was quarantined, and the verdicts that it sends."""
    module, told = importlib.import_module("flows.retrain"), list[Verdict]()
    monkeypatch.chdir(tmp_path)
    for name in ("repair_workspace", "repair_cache"):
        monkeypatch.setattr(module, name, lambda: ())
    for name in (
        "require_readable",
        "end_on_sigterm",
        "publish_run",
        "pin_start",
        "summarise",
        "require_one_state",
    ):
        monkeypatch.setattr(module, name, lambda *_: None)
    settings = SimpleNamespace(check=SimpleNamespace(drift=0.1), promotion=PromotionSettings.model_construct())
    monkeypatch.setattr(module, "load", lambda: settings)
    monkeypatch.setattr(module.Lineage, "of", lambda settings: Lineage())
    monkeypatch.setattr(module.dvc_import, "take_in", lambda settings, commit: ["bad.conll was quarantined: no tags"])
    monkeypatch.setattr(module, "stage_names", lambda: ["read"])
    monkeypatch.setattr(module, "run_stage", fail)
    monkeypatch.setattr(module, "send", lambda verdict, block: told.append(verdict))
    yield module, told


def fail(*_: object) -> None:
    raise DataError("the stage failed")


def test_what_was_quarantined_is_told_although_a_stage_failed(retrain: tuple[Any, list[Verdict]]) -> None:
    module, told = retrain
    with pytest.raises(DataError):
        module.retrain.fn(promote=False)
    assert told == [Verdict("failed", ["the stage failed", "bad.conll was quarantined: no tags"])]
    assert [run.reasons for run in history.runs()] == [told[0].reasons]


def test_stages_of_different_states_are_not_judged(
    retrain: tuple[Any, list[Verdict]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise InputsChanged("edited between two stages")

    module, told = retrain
    monkeypatch.setattr(module, "stage_names", lambda: [])
    monkeypatch.setattr(module, "require_one_state", refuse)
    monkeypatch.setattr(module, "decide", SimpleNamespace(with_options=lambda **_: pytest.fail))
    with pytest.raises(InputsChanged):
        module.retrain.fn(promote=False)
    assert [verdict.state for verdict in told] == ["failed"]


@pytest.mark.parametrize("stages", [["read"], []])
def test_a_report_that_cannot_be_written_changes_no_outcome(
    retrain: tuple[Any, list[Verdict]], stages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    module, told = retrain
    promoted = Verdict("promote", ["better"], "d", "v1.0.0", "v2.0.0")
    monkeypatch.setattr(module, "publish_run", refuse)
    monkeypatch.setattr(module, "stage_names", lambda: stages)
    monkeypatch.setattr(module, "decide", SimpleNamespace(with_options=lambda **_: lambda *_: promoted))
    if stages:
        with pytest.raises(DataError, match="the stage failed"):
            module.retrain.fn(promote=False)
        assert told == [Verdict("failed", ["the stage failed", "bad.conll was quarantined: no tags"])]
    else:
        module.retrain.fn(promote=False)
        assert told == [replace(promoted, reasons=["better", "bad.conll was quarantined: no tags"])]
        assert [run.version for run in history.runs()] == ["v2.0.0"]


@pytest.mark.parametrize("event", ["end", "begin"])
def test_a_failure_is_told_although_the_ledger_cannot_be_written(
    retrain: tuple[Any, list[Verdict]], event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    module, told = retrain
    monkeypatch.setattr(module.Run, event, refuse)
    with pytest.raises(OSError, match="No space left"):
        module.retrain.fn(promote=False)
    assert [verdict.state for verdict in told] == ["failed"]
