"""What works while a retraining runs in the folder, and that one study runs at a time."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fpplm.cli.main import app
from fpplm.project.lock import project_lock, study_lock
from fpplm.promotion import decision
from fpplm_core.errors import WorkspaceBusy
from tests.conftest import ROOT


def test_a_rollback_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def promote_by_hand(settings: Any, version: str | None, why: str) -> str:
        return f"{version}.0.0"

    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, name)
    monkeypatch.setattr(decision, "roll_back", lambda to, why: ("v1.0.0", "v2.0.0"))
    monkeypatch.setattr(decision, "promote_by_hand", promote_by_hand)
    with project_lock():
        assert "v1.0.0 is back in production" in CliRunner().invoke(app, ["rollback"]).output
        assert "v3.0.0 is in production" in CliRunner().invoke(app, ["promote", "v3"]).output
        assert isinstance(CliRunner().invoke(app, ["promote"]).exception, WorkspaceBusy), "it commits this folder"


@pytest.mark.parametrize(("command", "others"), [("ablate", ["tune"]), ("tune", ["tune", "ablate"])])
def test_one_study_runs_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, others: list[str]
) -> None:
    class Ended(Exception):
        pass

    def run_flow(name: str, **_: Any) -> None:
        plan = Path(".fpplm/tune/plan.yaml")
        before = plan.read_bytes() if command == "tune" else b""
        for other in others:
            assert isinstance(CliRunner().invoke(app, [other]).exception, WorkspaceBusy)
        assert not before or plan.read_bytes() == before
        raise Ended

    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, name)
    monkeypatch.setattr("fpplm.cli.pipeline.run_flow", run_flow)
    assert isinstance(CliRunner().invoke(app, [command]).exception, Ended)
    with study_lock():  # which the command has released
        pass
