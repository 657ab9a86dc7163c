"""`fpplm doctor` in a folder that is no project."""

from __future__ import annotations

from pathlib import Path

import pytest

from fpplm.cli.doctor import lines


def test_outside_a_project_its_files_are_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = {name: (what, advice) for name, what, advice in lines()}
    assert found["project"] == ("none in this folder", None)
    assert not found.keys() & {"params.yaml", "encoder", "data", "project's copies"}
    (tmp_path / "params.yaml").write_text("data: 1\n")
    broken = {name: advice for name, _, advice in lines()}
    assert "project" not in broken and broken["params.yaml"]
