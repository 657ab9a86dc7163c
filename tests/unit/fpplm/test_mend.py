"""What a killed run leaves half done, taken away by the next one; a checkpoint that is not as it was written."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML

from fpplm.pipeline.paths import PARAMS
from fpplm.project.lock import SCRATCH
from fpplm.project.overrides import with_overrides
from fpplm.project.repair import AGE, KEPT, LOCK_FILE, keep_lock_file, repair_workspace
from fpplm.session.checkpoint import BEST, STATE, Checkpoint, _save
from fpplm_core.training.history import DevScore, TrainingHistory

FULL = (Path(__file__).resolve().parents[3] / "dvc.lock").read_text(encoding="utf-8")
LINES = FULL.splitlines(keepends=True)
TABLE = Path(".dvc/tmp/rwlock")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    SCRATCH.mkdir()
    TABLE.parent.mkdir(parents=True)
    return tmp_path


def after(word: str) -> str:
    """All up to the end of the first line that ends with a word, within the second half."""
    number = next(n for n in range(len(LINES) // 2, len(LINES)) if LINES[n].rstrip().endswith(word))
    return "".join(LINES[: number + 1])


CUTS = {
    "empty": "",
    "only the schema": LINES[0],
    "no stage yet": "".join(LINES[:2]),
    "the name of a stage": after("  export:"),
    "before its dependencies": after("deps:"),
    "before its outputs": after("outs:"),
    "before its parameters": after("params:"),
    "before their values": after("params.yaml:"),
    "half a line": after("hash: md5")[:-6],
    "half a hash": after("hash: md5") + "      md5: ac41",
    "no last line end": FULL[:-1],
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "never kept"])
def test_a_cut_lock_file(cut: str, kept: bool) -> None:
    LOCK_FILE.write_text(FULL)
    if kept:
        keep_lock_file()
    LOCK_FILE.write_text(cut)
    (said,) = repair_workspace()
    assert re.match(r"dvc\.lock was (truncated|incomplete|not valid YAML .* at line \d+)", said), said
    assert LOCK_FILE.read_text() == FULL if kept else not LOCK_FILE.exists()
    assert repair_workspace() == []


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "never kept"])
def test_a_lock_file_with_a_merge_conflict(kept: bool) -> None:
    LOCK_FILE.write_text(FULL)
    if kept:
        keep_lock_file()
    LOCK_FILE.write_text("".join([*LINES[:5], "<<<<<<< HEAD\n", *LINES[5:8], "=======\n>>>>>>> other\n", *LINES[8:]]))
    (said,) = repair_workspace()
    assert said.startswith("dvc.lock was not valid YAML (a merge conflict) at line 6; re")
    assert LOCK_FILE.read_text() == FULL if kept else not LOCK_FILE.exists()


def test_cut_anywhere_dvc_can_read_what_is_left() -> None:
    """Where a cut leaves a whole but shorter file, no entry in it is a wrong one."""
    LOCK_FILE.write_text(FULL)
    keep_lock_file()
    whole = YAML(typ="safe", pure=True).load(FULL)["stages"]
    moments = random.Random(1)
    ends = [sum(map(len, LINES[:n])) for n in moments.sample(range(len(LINES)), 30)]
    for position in [*ends, *(moments.randrange(len(FULL)) for _ in range(30))]:
        LOCK_FILE.write_text(FULL[:position])
        repair_workspace()
        found = COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe", pure=True).load(LOCK_FILE.read_text()))
        for name, stage in found["stages"].items():
            for key in ("deps", "outs"):
                entries = stage.get(key, [])
                assert all(
                    entry.items() <= full.items()
                    for entry, full in zip(entries, whole[name].get(key, []), strict=False)
                )


def test_a_cut_lock_file_is_never_kept() -> None:
    LOCK_FILE.write_text(FULL)
    keep_lock_file()
    LOCK_FILE.write_text(after("outs:"))
    keep_lock_file()
    assert KEPT.read_text() == FULL


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def table(pid: int, command: str) -> str:
    who = {"pid": pid, "cmd": command}
    return json.dumps({"read": {"build/corpus": [who]}, "write": {"build/model": who}})


def test_a_table_of_locks_that_names_the_dead_or_is_cut(sleeper: int) -> None:
    dead = max(psutil.pids()) + 1000
    for left in (
        table(dead, "dvc repro"),
        table(sleeper, "/usr/bin/dvc repro"),
        table(os.getpid(), "x")[:40],
        "",
        "[]",
    ):
        TABLE.write_text(left)
        (said,) = repair_workspace()
        assert "processes that no longer run" in said
        assert not TABLE.exists()


def test_a_table_of_locks_that_names_the_living_or_nobody_stays(sleeper: int) -> None:
    for held in (table(sleeper, "sleep 60"), "{}", '{"read": {}, "write": {}}'):
        TABLE.write_text(held)
        assert repair_workspace() == []
        assert TABLE.exists()


def git(*arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


LEFT = (".git/index.lock", ".git/HEAD.lock", ".git/packed-refs.lock", ".git/refs/heads/main.lock")


def leave(lock: Path, seconds: float = AGE + 1) -> None:
    """A lock file that was left behind so many seconds ago."""
    lock.touch()
    os.utime(lock, (time.time() - seconds,) * 2)


def test_locks_of_a_git_that_is_gone() -> None:
    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "first")
    for name in LEFT:
        leave(Path(name))
    with pytest.raises(subprocess.CalledProcessError):
        git("commit", "-q", "--allow-empty", "-m", "second")
    assert sorted(said.split()[0] for said in repair_workspace()) == sorted(LEFT)
    git("commit", "-q", "--allow-empty", "-m", "second")


def test_locks_of_a_repository_that_is_larger_than_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    git("init", "-q", "-b", "main")
    lock = Path(".git/index.lock").resolve()
    leave(lock)
    Path("models/ner").mkdir(parents=True)
    monkeypatch.chdir("models/ner")
    (said,) = repair_workspace()
    assert "index.lock" in said and not lock.exists()


@pytest.mark.parametrize("is_linked", [False, True])
def test_locks_of_a_git_at_work_stay(folder: Path, is_linked: bool) -> None:
    linked = folder.with_name(f"{folder.name}-linked")
    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "first")
    git("worktree", "add", "-q", str(linked))
    with subprocess.Popen(
        ["git", "cat-file", "--batch"], stdin=subprocess.PIPE, cwd=linked if is_linked else folder
    ) as busy:
        while psutil.Process(busy.pid).name() != "git":
            pass
        leave(Path(LEFT[0]))
        assert repair_workspace() == []
        assert Path(LEFT[0]).exists()


def test_locks_of_a_git_that_cannot_be_seen_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: object) -> str:
        raise psutil.AccessDenied

    git("init", "-q", "-b", "main")
    leave(Path(LEFT[0]))
    with subprocess.Popen(["git", "cat-file", "--batch"], stdin=subprocess.PIPE) as busy:
        while psutil.Process(busy.pid).name() != "git":
            pass
        monkeypatch.setattr(psutil.Process, "cwd", denied)
        assert repair_workspace() == []


@pytest.mark.parametrize("alive", [True, False])
def test_a_new_lock_has_time_to_go(monkeypatch: pytest.MonkeyPatch, alive: bool) -> None:
    def pass_time(seconds: float) -> None:
        waited.append(seconds)
        if alive:  # the Git has ended, and another one has begun
            leave(lock, 0)

    git("init", "-q", "-b", "main")
    lock, waited = Path(LEFT[0]), list[float]()
    leave(lock, 20)
    monkeypatch.setattr(time, "sleep", pass_time)
    assert len(repair_workspace()) == (not alive) and lock.exists() == alive
    assert waited == [pytest.approx(AGE - 20, abs=5)]


OWN = "train:  # mine\n  seed: 1\n"


def test_values_of_a_killed_run_are_taken_back() -> None:
    PARAMS.write_text(OWN)
    run = with_overrides(["train.seed=7"])
    run.__enter__()  # and is killed
    assert "seed: 7" in PARAMS.read_text()
    (said,) = repair_workspace()
    assert said.startswith("params.yaml: removed the values")
    assert PARAMS.read_text() == OWN
    assert repair_workspace() == []


def test_what_the_user_has_edited_since_stays() -> None:
    PARAMS.write_text(OWN)
    run = with_overrides(["train.seed=7"])
    run.__enter__()
    PARAMS.write_text("train:\n  seed: 8\n")
    assert repair_workspace() == []
    assert PARAMS.read_text() == "train:\n  seed: 8\n"


@pytest.fixture
def checkpoint(folder: Path) -> Checkpoint:
    found = Checkpoint(folder / "checkpoints/one")
    history = TrainingHistory(step=3, losses=[{"tag": 0.5}], dev_f1=[DevScore(2, 0.25)]).to_json()
    _save(found.folder / STATE, {"weight": torch.arange(6.0).view(2, 3), "step": torch.tensor(3)}, history)
    _save(found.folder / BEST, {"weight": torch.ones(2, 3)}, "")
    return found


def test_a_checkpoint_as_it_was_written_stays(checkpoint: Checkpoint) -> None:
    assert not checkpoint.discard_damaged()
    assert checkpoint.history() == TrainingHistory(step=3, losses=[{"tag": 0.5}], dev_f1=[DevScore(2, 0.25)])
    assert len(checkpoint.tensors()) == 2
    checkpoint.remove()
    assert not checkpoint.discard_damaged(), "none is there: nothing is damaged"


@pytest.mark.parametrize("name", [STATE, BEST])
def test_any_flipped_bit_and_any_cut_discards_a_checkpoint(checkpoint: Checkpoint, name: str) -> None:
    file = checkpoint.folder / name
    good = {one: (checkpoint.folder / one).read_bytes() for one in (STATE, BEST)}
    bits = random.Random(1)
    damaged = [good[name][:length] for length in range(0, len(good[name]), 7)]
    for position, byte in enumerate(good[name]):
        raw = bytearray(good[name])
        raw[position] = byte ^ (1 << bits.randrange(8))
        damaged.append(bytes(raw))
    for raw in damaged:
        file.write_bytes(raw)
        assert checkpoint.discard_damaged()
        assert not checkpoint.folder.exists()
        assert checkpoint.history() == TrainingHistory()
        checkpoint.folder.mkdir()
        for one, content in good.items():
            (checkpoint.folder / one).write_bytes(content)
