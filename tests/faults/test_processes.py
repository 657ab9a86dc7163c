"""Training in two processes, as a stage: it ends, it goes on, and it does not hang where one of them is gone."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import psutil

from tests.project import Project


def two(trained: Project, path: Path) -> Project:
    project = trained.copy(path)
    project.set(train={"processes": 2, "epochs": 3})
    return project


def model(project: Project) -> bytes:
    return (project.path / "build/model/model.safetensors").read_bytes()


def test_two_processes_train_a_model_and_go_on_to_the_bit(trained: Project, tmp_path: Path) -> None:
    project = two(trained, tmp_path / "project")
    log = project.ok("python", "-m", "tasks.train")
    assert "device cpu, 2 × " in log
    numbers = json.loads((project.path / "metrics/train.json").read_text())
    assert numbers["epochs"] == 3 and numbers["dev_f1"] > 0
    whole = model(project)

    train = project.start("python", "-m", "tasks.train")
    states = project.path / ".fpplm/checkpoints"
    until(lambda: any(states.rglob("state.safetensors")))
    helper = [p for p in psutil.Process(train.pid).children() if "spawn_main" in " ".join(p.cmdline())]
    assert len(helper) == 1
    helper[0].send_signal(signal.SIGKILL)
    said, _ = train.communicate(timeout=60)
    assert train.returncode == 1 and "error: " in said

    log = project.ok("python", "-m", "tasks.train")
    assert "resumed at step" in log
    assert model(project) == whole


def test_the_helper_ends_with_a_training_that_is_killed(trained: Project, tmp_path: Path) -> None:
    project = two(trained, tmp_path / "project")
    train = project.start("python", "-m", "tasks.train")
    until(lambda: any((project.path / ".fpplm").rglob("state.safetensors")))
    helpers = psutil.Process(train.pid).children()
    assert helpers
    os.kill(train.pid, signal.SIGKILL)
    train.communicate(timeout=60)
    _, alive = psutil.wait_procs(helpers, timeout=60)
    assert not alive


def until(reached) -> None:  # type: ignore[no-untyped-def]
    for _ in range(1200):
        if reached():
            return
        time.sleep(0.05)
    raise AssertionError("not in a minute")
