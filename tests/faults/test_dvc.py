"""The pipeline with DVC's own commands, interrupted, and in two places."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.test_faults import train_anew
from tests.faults.test_kills import digests, locked
from tests.project import Project, steps_saved


def test_dvc_commands_work(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    assert "verify" in project.ok("dvc", "dag")
    assert "dev_f1" in project.ok("dvc", "metrics", "show")
    project.ok("dvc", "metrics", "diff")
    project.ok("dvc", "params", "diff")
    page = project.ok("dvc", "plots", "show", "-o", "plots").strip()
    assert Path(page.removeprefix("file://")).exists()


def test_experiment_changes_a_parameter(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    project.ok("dvc", "exp", "run", "-S", "encode.stride=8", "-n", "short", "encode")
    assert '"short"' in project.ok("dvc", "exp", "show", "--json")
    assert "stride: 8" in (project.path / "params.yaml").read_text()


def test_killed_training_ends_with_the_same_bytes_and_lock(trained: Project, tmp_path: Path) -> None:
    """DVC alone is killed, not what it started; test_kills kills all.

    `bash` becomes the stage that it starts; `sh`, which DVC takes where SHELL is not set, stays between.
    """
    project = trained.copy(tmp_path / "project")
    train_anew(project)
    for shell in ("/bin/sh", "/bin/bash"):
        before = steps_saved(project)
        process = project.start("dvc", "repro", "train", SHELL=shell)
        while steps_saved(project) == before:
            assert process.poll() is None, "training ended before it could be killed"
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert "resumed at step" in project.ok("dvc", "repro")
    assert digests(project) == digests(trained)
    assert locked(project) == locked(trained)
    assert not list((project.path / ".fpplm/checkpoints").iterdir()), "the checkpoint of a finished run is removed"


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_ctrl_c_is_said_in_one_line_and_keeps_the_checkpoint(trained: Project, tmp_path: Path, shell: str) -> None:
    project = trained.copy(tmp_path / "project")
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
    assert "interrupted; the same command continues from the last checkpoint" in output
    assert "Traceback" not in output and "unexpected" not in output
    assert steps_saved(project)
