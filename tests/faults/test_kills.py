"""kill -9 at random moments: of every stage, and of the whole flow up to the promotion; nobody cleans up by hand."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.project import STAGES, Project, kill_group, steps_saved

KILLS = 5  # of each stage
LEAST_KILLS = 3
FLOW_KILLS = 9
GUARD = "fpplm.pipeline.guard"
STARTING = 1.0  # seconds that DVC needs before the stage
OUTPUTS = ("build/**/*", "bundle/*", "metrics/*", "reports/training/*", "reports/evaluation/*")
MADE = ("build", "bundle", "metrics", "reports", "dvc.lock", ".dvc/cache", ".dvc/tmp", ".fpplm")


def digests(project: Project) -> dict[str, str]:
    """A hash of every file that the stages have made; one that was never finished says so in its name."""
    files = [file for names in OUTPUTS for file in project.path.glob(names) if file.is_file()]
    files = sorted(file for file in files if ".partial" not in str(file))
    return {str(file.relative_to(project.path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def locked(project: Project) -> Any:
    return yaml.safe_load((project.path / "dvc.lock").read_text())["stages"]


def usual_seconds(project: Project) -> dict[str, float]:
    """What each stage took in the first run."""
    lines = (project.path / ".fpplm/runs.jsonl").read_text().splitlines()
    return next(event["seconds"] for event in map(json.loads, lines) if event.get("ran", {}).get("train"))


def killed(process: subprocess.Popen[str], seconds: float) -> bool:
    """Whether it was at work after so many seconds, when it was killed with all that it had started."""
    try:
        process.communicate(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        kill_group(process)
        process.communicate()
        return True


def at_work(path: Path) -> list[psutil.Process]:
    """The processes in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(path) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def nothing_is_left_at_work(path: Path, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while at_work(path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture(scope="module")
def copied(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return trained.copy(tmp_path_factory.mktemp("killed") / "project")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_killed_anywhere(trained: Project, copied: Project, stage: str) -> None:
    """What a killed run has left is what the next one finds, kill after kill.

    DVC empties dvc.lock and takes up to a second to fill it again: killed then, only the flow repairs it.
    """
    moments = random.Random(stage)
    usual = usual_seconds(trained)[stage] + STARTING
    latest = 0.95  # share of its usual seconds
    kills = repaired = 0
    for _ in range(3 * KILLS):
        began = time.monotonic()
        process = copied.start("dvc", "repro", "-s", "-f", stage)
        if killed(process, moments.uniform(0.02, latest) * usual):
            kills += 1
        elif process.returncode:
            repaired += 1
            assert "repaired: " in copied.ok("fpplm", "retrain")
        else:
            usual = min(usual, time.monotonic() - began)  # it goes on where the last one was killed
            latest *= 0.7
        if kills == KILLS:
            break
    assert kills >= LEAST_KILLS, "most runs ended before they could be killed"
    if copied.run("dvc", "repro").returncode:
        repaired += 1
        assert "repaired: " in copied.ok("fpplm", "retrain")
    print(f"{stage}: {kills} kills, of which {repaired} left what only fpplm retrain could repair")
    assert locked(copied) == locked(trained)
    assert digests(copied) == digests(trained)
    assert nothing_is_left_at_work(copied.path)


def test_the_flow_killed_again_and_again_until_it_gets_through(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")  # of the same commit, so the manifest is to be the same
    for name in MADE:
        made = project.path / name
        shutil.rmtree(made) if made.is_dir() else made.unlink(missing_ok=True)
    moments = random.Random(1)
    kills = 0
    while kills < FLOW_KILLS:
        if not killed(project.start("fpplm", "retrain", "--promote"), moments.uniform(4, 20)):
            break
        kills += 1
        assert nothing_is_left_at_work(project.path)
    output = project.ok("fpplm", "retrain", "--promote")
    assert kills == FLOW_KILLS or (kills >= LEAST_KILLS and "unchanged" in output)
    print(f"the flow: {kills} kills")
    tags = project.ok("git", "tag", "--list").split()
    assert sorted(tags) == ["tagger#production#1", "tagger@v1.0.0"]
    assert not project.ok("git", "status", "--porcelain", "metrics", "dvc.lock", "params.yaml")
    assert digests(project) == digests(trained)
    assert locked(project) == locked(trained)
    assert "v1.0.0" in project.ok("fpplm", "models")


def test_nothing_outlives_a_retraining_that_is_killed_alone(trained: Project, tmp_path: Path) -> None:
    """Not its group: nobody else kills Prefect's temporary server and the stage."""
    project = trained.copy(tmp_path / "project")
    project.set(train={"epochs": 60})
    running = project.start("fpplm", "retrain")
    deadline = time.monotonic() + 300
    while steps_saved(project) < 2:
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    started = [p for p in psutil.Process(running.pid).children(recursive=True) if GUARD not in p.cmdline()]
    for part in ("uvicorn", "tasks.train"):
        assert any(part in process.cmdline() for process in started)
    running.kill()
    _, alive = psutil.wait_procs(started, timeout=30)
    assert not alive, [process.cmdline() for process in alive]
    assert nothing_is_left_at_work(project.path)
    project.set(train={"epochs": 4})
    assert "stages ran" in project.ok("fpplm", "retrain")
