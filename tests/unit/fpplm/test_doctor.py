"""`fpplm doctor` in a folder that is no project."""

from __future__ import annotations

from pathlib import Path

import pytest

from fpplm.cli import doctor
from fpplm.cli.doctor import lines


def test_outside_a_project_its_files_are_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = {name: (what, advice) for name, what, advice in lines()}
    assert found["project"] == ("none in this folder", None)
    assert not found.keys() & {"params.yaml", "encoder", "data", "project's copies"}
    (tmp_path / "params.yaml").write_text("data: 1\n")
    broken = {name: advice for name, _, advice in lines()}
    assert "project" not in broken and broken["params.yaml"]


def test_two_runtimes_in_one_environment_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version_of", lambda package: "1.31.1" if package in doctor.RUNTIMES else None)
    name, found, advice = doctor._runtime()
    assert name == "onnxruntime" and all(f"{runtime} 1.31.1" in found for runtime in doctor.RUNTIMES)
    assert advice and advice.startswith("they overwrite each other")
    monkeypatch.setattr(doctor, "version_of", lambda package: None)
    assert doctor._runtime() == ("onnxruntime", "not installed", "install the extra serve of fpplm")
