"""Repairs what a killed run may have left half done."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import psutil

from fpplm.pipeline.paths import SCRATCH
from fpplm.project.overrides import restore_params
from fpplm.registry.git import git, is_repository
from fpplm_core.errors import ParamsError
from fpplm_core.files import write_text
from fpplm_core.settings import read_yaml

AGE = 60.0  # seconds after which a lock file of Git may be one that was left behind
LOCK_FILE, KEPT = Path("dvc.lock"), SCRATCH / "dvc.lock"


def repair_workspace() -> list[str]:
    """Repairs what a killed run may have left half done; returns one line for each repair.

    DVC writes dvc.lock and its table of locks in place, and Git leaves its lock files behind: a process killed at that
    moment would block every later run. The caller must hold the folder's lock.
    """
    done = []
    table = Path(".dvc/tmp/rwlock")
    if table.exists() and _is_stale(table):
        table.unlink()
        done.append(f"{table} named processes that no longer run; removed it")
    for lock in _git_locks():
        lock.unlink(missing_ok=True)
        done.append(f"{lock} was left by a Git process that no longer runs; removed it")
    if LOCK_FILE.exists() and (fault := _fault(LOCK_FILE)):
        if KEPT.exists():
            write_text(LOCK_FILE, KEPT.read_text(encoding="utf-8"))
            done.append(f"dvc.lock {fault}; restored it as after the last finished stage")
        else:
            LOCK_FILE.unlink()
            done.append(f"dvc.lock {fault}; removed it: DVC restores outputs from its cache or makes them again")
    if restore_params():
        done.append("params.yaml: removed the values that a killed run had set")
    return done


def keep_lock_file() -> None:
    """Saves a copy of the current dvc.lock for `repair_workspace`."""
    if LOCK_FILE.exists() and not _fault(LOCK_FILE):
        write_text(KEPT, LOCK_FILE.read_text(encoding="utf-8"))


def _fault(lock_file: Path) -> str:
    """Why DVC cannot read the file, "" if it can: a merge conflict, or a line, a list or a stage without its end.

    A file that only lost entries has no fault: DVC restores their outputs from its cache, or makes them again.
    """
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        found = COMPILED_LOCKFILE_SCHEMA(read_yaml(lock_file))
    except ParamsError as error:
        return f"was {error.what} at line {error.where.rpartition(':')[2]}"
    except Invalid as error:
        return f"was incomplete ({error})"
    is_whole = lock_file.read_text(encoding="utf-8").endswith("\n") and found.get("stages")
    return "" if is_whole else "was truncated"


def _is_stale(table: Path) -> bool:
    """Whether DVC's table of locks is truncated, or names only processes that no longer run.

    Another process may have got the id of one that ended; DVC would wait for it.
    """
    try:
        locks = json.loads(table.read_text(encoding="utf-8"))
        read = [info for infos in locks.get("read", {}).values() for info in infos]
        infos = [*read, *locks.get("write", {}).values()]
        return bool(infos) and not any(_is_running(int(info["pid"]), str(info["cmd"])) for info in infos)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return True


def _is_running(pid: int, command: str) -> bool:
    try:
        return command.rsplit(maxsplit=1)[-1] in " ".join(psutil.Process(pid).cmdline())
    except (psutil.Error, IndexError):
        return False


def _git_locks() -> list[Path]:
    """The lock files of this repository, which may be larger than the project, that no living Git holds.

    None while a `git` runs in one of its worktrees, or in a folder that this user may not see. One in a container or on
    another machine cannot be seen: it has AGE to end.
    """
    if not is_repository():
        return []
    folder = Path(git("rev-parse", "--git-dir"))
    locks = {lock: _changed(lock) for lock in (*folder.glob("*.lock"), *(folder / "refs").rglob("*.lock"))}
    if not locks or _git_runs():
        return []
    if (wait := AGE - max(0.0, time.time() - max(locks.values()))) > 0:
        print(f"waiting for a Git that may hold {', '.join(map(str, locks))}", file=sys.stderr, flush=True)
        time.sleep(wait)
    return [lock for lock, before in locks.items() if _changed(lock) == before]


def _changed(lock: Path) -> float:
    """When the file was written; 0 if it is gone."""
    try:
        return lock.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _git_runs() -> bool:
    """Whether a `git` runs in a worktree of this repository, or in a folder that this user may not see."""
    lines = git("worktree", "list", "--porcelain").splitlines()
    tops = [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == "git" and any(Path(process.cwd()).is_relative_to(top) for top in tops):
                return True
        except psutil.AccessDenied:
            return True
        except (psutil.Error, OSError):  # it has ended
            continue
    return False
