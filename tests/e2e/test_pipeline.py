"""The pipeline as a user runs it: once, again, in two places, interrupted, and stopped by its own verdicts."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import Project, kill_group

Make = Callable[[], Project]
STAGES = ["environment", "read", "check", "encode", "train", "evaluate", "gate", "export", "verify"]


def model_digest(project: Project) -> str:
    return hashlib.sha256((project.path / "build/model/model.safetensors").read_bytes()).hexdigest()


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


def test_second_run_runs_nothing(trained: Project) -> None:
    before = (trained.path / "dvc.lock").read_bytes()
    output = trained.ok("fpplm", "retrain")
    assert f"0 of {len(STAGES)} stages ran" in output
    assert output.count("   unchanged\n") == len(STAGES)
    assert (trained.path / "dvc.lock").read_bytes() == before
    output = trained.ok("dvc", "repro")
    assert re.findall(r"Running stage '(\w+)'", output) == ["environment"], "it is to run always, nothing else"
    assert output.count("didn't change, skipping") == len(STAGES) - 1
    assert (trained.path / "dvc.lock").read_bytes() == before


OTHER_TORCH = """
from importlib import metadata
_version = metadata.version
metadata.version = lambda name: "9.9.9" if name == "torch" else _version(name)
"""


def test_another_torch_trains_again(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    assert "build/environment.json" not in project.ok("dvc", "status", "train")
    (tmp_path / "sitecustomize.py").write_text(OTHER_TORCH)
    project.ok("dvc", "repro", "environment", PYTHONPATH=str(tmp_path))
    assert json.loads((project.path / "build/environment.json").read_text())["torch"] == "9.9.9"
    assert re.search(r"modified:\s+build/environment.json", project.ok("dvc", "status", "train"))
    plan = project.ok("dvc", "repro", "--dry", "train")
    assert "Running stage 'train'" in plan and "Stage 'encode' didn't change" in plan


def test_dvc_commands_work(trained: Project) -> None:
    assert "verify" in trained.ok("dvc", "dag")
    assert "dev_f1" in trained.ok("dvc", "metrics", "show")
    trained.ok("dvc", "metrics", "diff")
    trained.ok("dvc", "params", "diff")
    page = trained.ok("dvc", "plots", "show", "-o", "plots").strip()
    assert Path(page.removeprefix("file://")).exists()


def test_experiment_changes_a_parameter(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    project.ok("dvc", "exp", "run", "-S", "encode.stride=8", "-n", "short", "encode")
    assert '"short"' in project.ok("dvc", "exp", "show", "--json")
    assert "stride: 8" in (project.path / "params.yaml").read_text()


def test_killed_training_ends_with_the_same_bytes_and_lock(trained: Project, make_project: Make) -> None:
    """Another project from the same inputs, killed in training: with all its processes, and DVC alone.

    `bash` becomes the stage that it starts; `sh`, which DVC takes where SHELL is not set, stays between.
    """
    project = make_project()
    project.ok("dvc", "repro", "encode", "check")
    alone = subprocess.Popen.kill
    for kill, shell in ((kill_group, "/bin/sh"), (alone, "/bin/sh"), (alone, "/bin/bash")):
        before = steps_saved(project)
        process = project.start("dvc", "repro", "train", SHELL=shell)
        while steps_saved(project) == before:
            assert process.poll() is None, "training ended before it could be killed"
            time.sleep(0.01)
        kill(process)
        process.wait()
    output = project.ok("dvc", "repro")
    assert "going on from step" in output
    assert model_digest(project) == model_digest(trained)
    # The bundle's manifest names the commit, and two projects made at different seconds have different commits.
    locks = [yaml.safe_load((p.path / "dvc.lock").read_text())["stages"] for p in (trained, project)]
    assert all(lock.pop("verify") for lock in locks)
    assert locks[0] == locks[1]
    assert not list((project.path / ".fpplm/checkpoints").iterdir()), "the checkpoint of a finished run is removed"


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_ctrl_c_is_said_in_one_line_and_keeps_the_checkpoint(make_project: Make, shell: str) -> None:
    project = make_project()
    project.set(train={"epochs": 50})
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        pytest.skip("started in the background by a shell that switches Ctrl-C off")
    process = project.start("fpplm", "retrain", SHELL=shell)
    while not steps_saved(project):
        assert process.poll() is None, "training ended before it could be interrupted"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted; the same command goes on from the last checkpoint" in output
    assert "Traceback" not in output and "unexpected" not in output
    assert steps_saved(project)


def steps_saved(project: Project) -> int:
    """The step of the newest checkpoint, 0 where there is none."""
    for file in (project.path / ".fpplm").glob("checkpoints/*/state.safetensors"):
        raw = file.read_bytes()
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        return int(json.loads(header["__metadata__"]["history"])["step"])
    return 0


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
    project.set(check={"illegal_transition": "warning"})
    assert project.run("dvc", "repro", "check").returncode == 0
