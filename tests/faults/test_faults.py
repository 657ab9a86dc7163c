"""What a retraining must survive beside kills: full disks, damage, a second run, hanging stages, SIGTERM, clocks."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from fpplm.promotion import history
from tests.faults.test_kills import at_work, digests, nothing_is_left_at_work
from tests.project import Project, kill_group, model_digest, steps_saved, wait_until

MODEL = Path("build/model/model.safetensors")


def last_run(project: Project) -> history.RunRecord:
    return history.runs(project.path / history.LEDGER)[-1]


def train_anew(project: Project) -> None:
    """Has training something to do: the same again, from its start."""
    cached(project, MODEL).unlink()
    shutil.rmtree(project.path / "build/model")


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """What a process writes up to that text."""
    assert process.stdout
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"it never said {text!r}: {seen}")


def one_line(stderr: str) -> str:
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in stderr and "unexpected" not in line
    return line


# Disks


def in_little_room(project: Project, folder: str, kilobytes: int, command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with a folder on a disk of so much room beyond what it holds; then lists `md5  file` of it."""
    (project.path / folder).mkdir(parents=True, exist_ok=True)
    script = f"""
        set -e
        cp -a {folder} {folder}.whole
        mount -t tmpfs none {folder}
        cp -a {folder}.whole/. {folder}
        used=$(df -k --output=used {folder} | tail -n 1)
        mount -o remount,size=$((used + {kilobytes}))k {folder}
        rm -rf {folder}.whole
        set +e
        {command}
        code=$?
        echo "there: $(find {folder} -type f -exec md5sum {{}} + | tr '\\n' ';')"
        exit $code
    """
    return project.run("unshare", "-rm", "sh", "-c", script)


@pytest.fixture
def little_disks() -> None:
    mount = "mount -t tmpfs -o size=4k none /mnt"
    allowed = shutil.which("unshare") and not subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False
    ).returncode  # fmt: skip
    if not allowed:
        pytest.skip("no file systems of one's own are allowed here")


@pytest.mark.usefixtures("little_disks")
def test_a_full_disk_under_the_checkpoints(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    train_anew(project)
    done = in_little_room(project, ".fpplm/checkpoints", 100, "fpplm retrain")
    assert done.returncode == 7
    assert done.stdout.count("── train") == 3, "it is tried again: room may come"
    assert "the stage train failed, got exit code 7" in done.stderr and "state.safetensors" in done.stderr
    assert last_run(project).verdict == "failed"
    assert "1 of 9 stages ran" in project.ok("fpplm", "retrain")
    assert digests(project) == digests(trained)


@pytest.mark.usefixtures("little_disks")
@pytest.mark.parametrize(
    ("stage", "output", "room"),
    [
        ("train", "build/model", 64),
        ("evaluate", "build/predictions", 8),
        ("export", "build/onnx", 260),  # enough for the first graph
    ],
)
def test_a_full_disk_under_the_outputs(trained: Project, tmp_path: Path, stage: str, output: str, room: int) -> None:
    project = trained.copy(tmp_path / "project")
    for file in (project.path / output).iterdir():
        file.unlink()
    done = in_little_room(project, "build", room, f"python -m tasks.{stage}")
    assert done.returncode == 7, done.stderr
    assert one_line(done.stderr)
    there = done.stdout.rpartition("there: ")[2].split(";")
    whole = {hashlib.md5(file.read_bytes()).hexdigest() for file in (trained.path / output).iterdir()}
    finished = [line.split()[0] for line in there if f" {output}/" in line and not line.endswith(".partial")]
    assert set(finished) <= whole, "no half file under a whole one's name"
    project.ok("python", "-m", f"tasks.{stage}")
    assert digests(project) == digests(trained)


@pytest.mark.usefixtures("little_disks")
def test_a_full_disk_under_the_remote(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    project.ok("dvc", "remote", "add", "-q", "-d", "store", str(project.path / ".fpplm/store"))
    project.commit()
    done = in_little_room(project, ".fpplm/store", 200, "fpplm promote")
    assert done.returncode == 12
    assert "dvc push failed" in one_line(done.stderr)
    there = done.stdout.rpartition("there: ")[2].strip().rstrip(";").split(";")
    for line in there:
        digest, name = line.split()
        assert name.endswith(".tmp") or digest == "".join(Path(name).parts[-2:]).removesuffix(".dir"), (
            "no half file under a whole one's name"
        )
    assert not project.ok("git", "tag", "--list")
    assert "v1.0.0 is in production" in project.ok("fpplm", "promote")
    assert project.ok("dvc", "status", "--cloud").count("in sync")


# Damaged files


def damage(file: Path) -> None:
    """Other bytes, and the same size, time and mode: what a disk does."""
    before = file.stat()
    file.chmod(0o644)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(bytes(raw))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    file.chmod(before.st_mode)


def cached(project: Project, file: Path) -> Path:
    digest = hashlib.md5((project.path / file).read_bytes()).hexdigest()
    return project.path / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


def test_damaged_files_of_the_cache_are_made_again(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    files = [cached(project, MODEL), cached(project, Path("bundle/onnx/model_quantized.onnx"))]
    for file in files:
        damage(file)
    shutil.rmtree(project.path / "build/model")
    shutil.rmtree(project.path / "bundle")
    output = project.ok("fpplm", "retrain")
    assert output.count("was damaged and is removed") == 2
    assert digests(project) == digests(trained)
    assert [cached(project, file) for file in (MODEL, Path("bundle/onnx/model_quantized.onnx"))] == files
    assert "repaired" not in project.ok("fpplm", "retrain")


def test_a_damaged_model_is_never_used(trained: Project, tmp_path: Path) -> None:
    """`dvc repro` by itself takes it from its cache without a look."""
    project = trained.copy(tmp_path / "project")
    damage(cached(project, MODEL))
    shutil.rmtree(project.path / "build/model")
    project.ok("dvc", "repro", "train")
    assert model_digest(project) != model_digest(trained), "DVC has begun to look: fpplm/pipeline/trained.py may go"
    for stage in ("evaluate", "export"):
        done = project.run("python", "-m", f"tasks.{stage}")
        assert done.returncode == 3
        assert f"{MODEL}: not the weights that train wrote; delete build/model" in one_line(done.stderr)
    (project.path / MODEL).write_bytes((trained.path / MODEL).read_bytes()[:-100])
    done = project.run("python", "-m", "tasks.evaluate")
    assert done.returncode == 3 and "cannot be read" in one_line(done.stderr)
    shutil.rmtree(project.path / "build/model")
    project.ok("fpplm", "retrain")
    assert digests(project) == digests(trained), "as the message says"


def test_edited_outputs_are_made_again(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    for file in (MODEL, Path("bundle/onnx/model_quantized.onnx")):
        (project.path / file).write_bytes((project.path / file).read_bytes()[:-100])
    project.ok("fpplm", "retrain")
    assert digests(project) == digests(trained)


def test_a_damaged_bundle_is_refused(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    project.ok("dvc", "status")  # DVC knows the file, and will not look into it again
    damage(project.path / "bundle/onnx/model_quantized.onnx")
    done = project.run("fpplm", "retrain", "--promote")
    assert done.returncode == 5
    assert "model_quantized.onnx: changed since the bundle was made" in one_line(done.stderr)
    assert not project.ok("git", "tag", "--list")
    shutil.rmtree(project.path / "bundle")
    assert "v1.0.0 is in production" in project.ok("fpplm", "retrain", "--promote")
    assert digests(project) == digests(trained)


def test_a_damaged_checkpoint_is_thrown_away(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    train_anew(project)
    process = project.start("python", "-m", "tasks.train")
    wait_until(lambda: steps_saved(project), process, step=0.01)
    kill_group(process)
    (state,) = project.path.glob(".fpplm/checkpoints/*/state.safetensors")
    damage(state)
    output = project.ok("python", "-m", "tasks.train")
    assert "damaged, so removed; training starts from the beginning" in output
    assert "resumed at step" not in output
    assert model_digest(project) == model_digest(trained)


# Two at once

HOLD = """
import time
from fpplm.project.lock import project_lock
with project_lock():
    print("held", flush=True)
    time.sleep(600)
"""


def test_two_at_once(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    with project.start("python", "-c", HOLD) as holder:
        wait_for(holder, "held")
        done = project.run("fpplm", "retrain", "--busy", "fail")
        assert done.returncode == 9
        assert "another retraining is running here" in one_line(done.stderr)
        assert f"got process {holder.pid} on " in done.stderr
        done = project.run("fpplm", "retrain", "--busy", "skip")
        assert done.returncode == 0
        assert "verdict  skipped" in done.stdout and f"process {holder.pid} on " in done.stdout
        waiting = project.start("fpplm", "retrain")
        wait_for(waiting, f"waiting for another retraining: process {holder.pid} on ")
        kill_group(holder)
        killed = time.monotonic()
        output = wait_for(waiting, "── environment")
        assert time.monotonic() - killed < 30, "the lock is free at once"
        output += waiting.communicate(timeout=120)[0]
        assert waiting.returncode == 0 and "0 of 9 stages ran" in output
    verdicts = [run.verdict for run in history.runs(project.path / history.LEDGER)]
    assert verdicts[-3:-1] == ["skipped", "skipped"]


# A stage that hangs

HANG = """
import os, subprocess, sys, time
if "tasks.environment" in sys.orig_argv and not os.path.exists("hung"):
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("hung", "w").write(str(subprocess.Popen(["sleep", "600"]).pid))
    time.sleep(600)
"""
HURRIED = "from flows.retrain import retrain; retrain(promote=False, stage_hours=10 / 3600)"


def test_a_stage_that_hangs(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    with (project.path / "guard/sitecustomize.py").open("a") as guard:
        guard.write(HANG)
    began = time.monotonic()
    output = project.ok("python", "-c", HURRIED)
    assert time.monotonic() - began < 120
    assert output.count("── environment") == 2
    assert not psutil.pid_exists(int((project.path / "hung").read_text())), "ended with all its processes"
    assert not at_work(project.path)
    assert digests(project) == digests(trained)
    assert last_run(project).verdict != "failed"


# SIGTERM


def test_sigterm_to_a_training(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    project.set(train={"checkpoint_steps": 1000})
    process = project.start("python", "-m", "tasks.train")
    wait_for(process, "epoch 1")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert time.monotonic() - began < 15
    stopped = steps_saved(project)
    assert stopped and f"stopped at step {stopped} of " in output
    assert f"resumed at step {stopped} of " in project.ok("python", "-m", "tasks.train")
    assert model_digest(project) == model_digest(trained)


def test_sigterm_to_a_retraining(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    train_anew(project)
    process = project.start("fpplm", "retrain")
    wait_for(process, "epoch 1")
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert nothing_is_left_at_work(project.path)
    assert steps_saved(project)
    assert last_run(project).state == "killed"
    assert "resumed at step" in project.ok("fpplm", "retrain")
    assert digests(project) == digests(trained)


# A clock that was set back

CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec -= 86400;
    return failed;
}
"""


def test_a_clock_that_was_set_back(trained: Project, tmp_path: Path) -> None:
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    library = tmp_path / "clock.so"
    build = ["cc", "-shared", "-fPIC", "-xc", "-", "-o", str(library), "-ldl"]
    subprocess.run(build, input=CLOCK, text=True, check=True)
    project = trained.copy(tmp_path / "project")
    project.ok("fpplm", "retrain", "--promote")
    output = project.ok("fpplm", "retrain", "--promote", LD_PRELOAD=str(library))
    assert "0 of 9 stages ran" in output and "already decided at" in output
    runs = history.runs(project.path / history.LEDGER)
    assert [run.verdict for run in runs] == ["promote", "promote", "unchanged"]
    assert runs[-1].started < runs[-2].started, "the clock was back"
    assert runs[-1].ran and not any(runs[-1].ran.values())
    project.set(gate={"min_type_f1": 0.0}, verify={"max_f1_loss": 0.9})
    project.ok("fpplm", "retrain", LD_PRELOAD=str(library))
    again = project.run("fpplm", "promote", "v1", LD_PRELOAD=str(library))
    assert again.returncode == 3 and "it is in production" in again.stderr
    assert "v1.0.0" in project.ok("fpplm", "models")
