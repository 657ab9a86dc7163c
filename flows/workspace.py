"""The project's folder during a retraining: one at a time, mended after a crash, with parameters of this run."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import psutil
from filelock import FileLock, Timeout
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from flows import registry
from fpplm_core import params
from fpplm_core.errors import ParamsError, WorkspaceBusy
from tasks import SCRATCH, write_text

Busy = Literal["wait", "skip", "fail"]
LOCK = SCRATCH / "retrain.lock"
OWNER = SCRATCH / "retrain.owner.json"
PARAMS = Path("params.yaml")
LOCK_FILE, KEPT = Path("dvc.lock"), SCRATCH / "dvc.lock"
LOOK = 5.0  # seconds between two tries for the lock


@contextmanager
def alone(busy: Busy = "wait") -> Iterator[None]:
    """Holds this folder's lock, which names its owner. The operating system lets go of it however the owner ends.

    Raises:
        WorkspaceBusy: another run holds it, and `busy` is not to wait.
    """
    SCRATCH.mkdir(exist_ok=True)
    lock = FileLock(LOCK)
    said = False
    while True:
        try:
            lock.acquire(timeout=0 if busy != "wait" else LOOK)
            break
        except Timeout:
            if busy != "wait":
                raise WorkspaceBusy(
                    "another retraining is at work here", where=str(Path.cwd()), got=owner(), do="wait for its end"
                ) from None
            if not said:
                print(f"waiting for another retraining: {owner()}", file=sys.stderr, flush=True)
                said = True
    try:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        who = {"pid": os.getpid(), "host": socket.gethostname(), "since": started}
        write_text(OWNER, json.dumps(who) + "\n")
        yield
    finally:
        OWNER.unlink(missing_ok=True)
        lock.release()


def owner() -> str:
    """Who holds the lock, in words."""
    try:
        who = json.loads(OWNER.read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']}, since {who['since']}"
    except (OSError, ValueError, KeyError):
        return "a process that has just begun"


def mend() -> list[str]:
    """Takes away what a killed run may have left half done, and says what.

    DVC writes dvc.lock and its table of locks in place, and Git leaves its lock files behind: a process killed at that
    moment would stop every later run. Call it with the folder's lock held.
    """
    done = []
    table = Path(".dvc/tmp/rwlock")
    if table.exists() and _is_stale(table):
        table.unlink()
        done.append(f"{table} named processes that are gone")
    for lock in _git_locks():
        lock.unlink(missing_ok=True)
        done.append(f"{lock} was left by a Git that is gone")
    if LOCK_FILE.exists() and not _is_whole(LOCK_FILE):
        if KEPT.exists():
            write_text(LOCK_FILE, KEPT.read_text(encoding="utf-8"))
            done.append("dvc.lock was cut off; it is again as after the last finished stage")
        else:
            LOCK_FILE.unlink()
            done.append("dvc.lock was cut off; DVC finds in its cache what has been made, or makes it again")
    if take_back():
        done.append("params.yaml is as before the values of a run that was killed")
    return done


def keep_lock_file() -> None:
    """Keeps dvc.lock as it is now, for `mend`."""
    if LOCK_FILE.exists() and _is_whole(LOCK_FILE):
        write_text(KEPT, LOCK_FILE.read_text(encoding="utf-8"))


def _is_whole(lock_file: Path) -> bool:
    """Whether DVC can read it: a cut leaves a line, a list or a stage without its end.

    One that has only lost entries is whole: DVC looks for these in its cache, or makes them again.
    """
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from voluptuous import Invalid

    try:
        text = lock_file.read_text(encoding="utf-8")
        found = COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe", pure=True).load(text))
    except (OSError, UnicodeDecodeError, YAMLError, Invalid):
        return False
    return text.endswith("\n") and bool(found.get("stages"))


def _is_stale(table: Path) -> bool:
    """Whether DVC's table of locks is cut off, or names processes none of which runs.

    The number of one that is gone may have come to another process since; DVC would wait for that.
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
    """The lock files of this repository, which may be larger than the project; none while a `git` works there."""
    if not registry.is_repository():
        return []
    top, folder = Path(registry.git("rev-parse", "--show-toplevel")), Path(registry.git("rev-parse", "--git-dir"))
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error, OSError):
            if process.info["name"] == "git" and Path(process.cwd()).is_relative_to(top):
                return []
    return [*folder.glob("*.lock"), *(folder / "refs").rglob("*.lock")]


BEFORE, DURING = SCRATCH / "params.before.yaml", SCRATCH / "params.during.yaml"


@contextmanager
def overridden(settings: Sequence[str]) -> Iterator[None]:
    """Has settings such as `train.lr=1e-4` in params.yaml, comments kept, as `dvc exp run -S` writes them.

    They go when the run ends, or at the next one's start where it was killed; `settle` keeps them.

    Raises:
        ParamsError: one is no `key=value`, or its key is unknown.
    """
    settle()
    if settings:
        text = PARAMS.read_text(encoding="utf-8")
        write_text(DURING, text)
        set_values(DURING, settings)
        write_text(BEFORE, text)
        write_text(PARAMS, DURING.read_text(encoding="utf-8"))
    try:
        yield
    finally:
        take_back()


def set_values(file: Path, settings: Sequence[str]) -> None:
    """Writes values such as `train.lr=1e-4` into a params.yaml, all else as it stands. Raises ParamsError."""
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides

    with TemporaryDirectory() as folder:  # DVC's own file loses the style of lists, and is not always YAML
        copy = Path(folder) / "params.json"
        copy.write_text(json.dumps(params.read_yaml(file)), encoding="utf-8")
        try:
            apply_overrides(str(copy), list(settings))
        except InvalidArgumentError as error:
            wrong = str(error.__cause__ or error).splitlines()[0]
            raise ParamsError(f"cannot be set ({wrong})", got=", ".join(settings), do="write train.lr=1e-4") from None
        wanted = json.loads(copy.read_text(encoding="utf-8"))
    yaml = YAML()
    yaml.width = 10_000
    yaml.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    document = yaml.load(file.read_text(encoding="utf-8"))
    _set(document, wanted)
    with file.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)


def _set(own: Any, wanted: dict[str, Any]) -> None:
    """Makes the values of a document equal to others, and touches no further one."""
    for key, value in wanted.items():
        if isinstance(value, dict) and isinstance(own.get(key), dict):
            _set(own[key], value)
        elif key not in own or own[key] != value:
            if isinstance(value, list) and isinstance(own.get(key), CommentedSeq):
                own[key][:] = value  # a new list would put the comments behind the old one to the wrong place
                own[key].fa.set_flow_style()
            else:
                own[key] = value
    for key in own.keys() - wanted.keys():
        del own[key]


def settle() -> None:
    """params.yaml as it is now is what the project has from now on."""
    BEFORE.unlink(missing_ok=True)


def take_back() -> bool:
    """params.yaml as it was before a run set values in it, unless somebody has changed it since."""
    if not BEFORE.exists():
        return False
    same = PARAMS.read_bytes() == DURING.read_bytes()
    if same:
        write_text(PARAMS, BEFORE.read_text(encoding="utf-8"))
    settle()
    return same
