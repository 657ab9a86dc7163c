"""The pipeline as a user runs it: once, again, and stopped by its own verdicts."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.project import STAGES, Project


def test_first_run_makes_everything(trained: Project) -> None:
    log = (trained.path / "retrain.log").read_text()
    assert f"{len(STAGES)} of {len(STAGES)} stages ran" in log
    assert [line.split()[1] for line in log.splitlines() if line.startswith("── ")] == STAGES
    for name in ("check", "train", "evaluate", "gate", "verify"):
        assert (trained.path / f"metrics/{name}.json").exists()
    assert (trained.path / "reports/report.html").exists()
    assert (trained.path / "reports/data_docs/index.html").exists()
    assert "bundle" in log and "example" in log


def test_every_gold_word_is_scored(trained: Project) -> None:
    scores = json.loads((trained.path / "metrics/evaluate.json").read_text())
    for split in ("dev", "test"):
        lines = (trained.path / f"data/wikigold/{split}.conll").read_text().splitlines()
        assert scores[split]["words"] == sum(bool(line) and not line.startswith("-DOCSTART-") for line in lines)
        assert scores[split]["coverage"] == 1.0


def test_second_run_runs_nothing(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    before = (project.path / "dvc.lock").read_bytes()
    output = project.ok("fpplm", "retrain")
    assert f"0 of {len(STAGES)} stages ran" in output
    assert output.count("   unchanged\n") == len(STAGES)
    assert (project.path / "dvc.lock").read_bytes() == before
    output = project.ok("dvc", "repro")
    assert re.findall(r"Running stage '(\w+)'", output) == ["environment"], "it is to run always, nothing else"
    assert output.count("didn't change, skipping") == len(STAGES) - 1
    assert (project.path / "dvc.lock").read_bytes() == before


OTHER_TORCH = """
from importlib import metadata
_version = metadata.version
metadata.version = lambda name: "9.9.9" if name == "torch" else _version(name)
"""


def test_another_torch_trains_again(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    assert "build/code/train.json" not in project.ok("dvc", "status", "train")
    (tmp_path / "sitecustomize.py").write_text(OTHER_TORCH)
    project.ok("dvc", "repro", "environment", PYTHONPATH=str(tmp_path))
    assert json.loads((project.path / "build/code/train.json").read_text())["packages"]["torch"] == "9.9.9"
    assert re.search(r"modified:\s+build/code/train.json", project.ok("dvc", "status", "train"))
    plan = project.ok("dvc", "repro", "--dry", "train")
    assert "Running stage 'train'" in plan and "Stage 'read' didn't change" in plan


def test_failed_gate_stops_the_export_and_is_not_retried(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    project.set(gate={"min_f1": 0.99})
    done = project.run("fpplm", "retrain")
    assert done.returncode == 11
    assert done.stdout.count("── gate") == 1, "a verdict is not retried"
    assert "FAIL" in done.stdout and "test F1" in done.stderr
    assert "Traceback" not in done.stderr
    gate = json.loads((project.path / "metrics/gate.json").read_text())
    assert not gate["passed"]
    assert (project.path / "metrics/evaluate.json").exists(), "metrics survive a failed gate"
    assert (project.path / "reports/report.html").exists()
    assert "── export" not in done.stdout


def test_bad_data_stops_at_the_check_with_its_line(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    with (project.path / "data/wikigold/dev.conll").open("a") as stream:
        stream.write("Bad\tO\nline\tI-PER\n\n")
    line = len((project.path / "data/wikigold/dev.conll").read_text().splitlines()) - 1
    done = project.run("fpplm", "retrain")
    assert done.returncode == 10
    assert f"dev.conll:{line}" in done.stdout and "I-PER cannot follow O" in done.stdout
    assert (project.path / "reports/data_docs/index.html").exists()
    assert json.loads((project.path / "metrics/check.json").read_text())["errors"] == 1
    assert "── encode" not in done.stdout
    project.set(check={"severity": {"illegal_transition": "warning"}})
    assert project.run("dvc", "repro", "check").returncode == 0
