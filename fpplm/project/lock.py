"""The locks of the project's folder: one retraining, reproduction, study and server at a time."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fpplm.pipeline.paths import SCRATCH
from fpplm_core.errors import WorkspaceBusy
from fpplm_core.files import write_text

Busy = Literal["wait", "skip", "fail"]
LOCK = SCRATCH / "retrain.lock"
REPRODUCTION_LOCK = SCRATCH / "reproduce.lock"
STUDY_LOCK = SCRATCH / "study.lock"
SERVER_LOCK = SCRATCH / "up.lock"
OWNER = SCRATCH / "retrain.owner.json"


@contextmanager
def project_lock(busy: Busy = "wait") -> Iterator[None]:
    """Holds this folder's lock, which names its owner. The operating system releases it however the owner ends.

    Raises:
        WorkspaceBusy: another run holds it, and `busy` is not "wait".
    """
    from filelock import FileLock, Timeout

    SCRATCH.mkdir(exist_ok=True)
    lock = FileLock(LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if busy != "wait":
            raise WorkspaceBusy(
                "another retraining is running here", where=str(Path.cwd()), got=owner(), do="wait until it ends"
            ) from None
        print(f"waiting for another retraining: {owner()}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        who = {"pid": os.getpid(), "host": socket.gethostname(), "since": started}
        write_text(OWNER, json.dumps(who) + "\n")
        yield
    finally:
        OWNER.unlink(missing_ok=True)
        lock.release()


def reproduction_lock() -> AbstractContextManager[None]:
    """Held while a version is trained again in a clone, which shares the project's DVC cache. Raises WorkspaceBusy."""
    return _lock(REPRODUCTION_LOCK, "a version is being reproduced here")


def study_lock() -> AbstractContextManager[None]:
    """Held by `fpplm ablate` and `fpplm tune`, whose runs share their folders and ledger. Raises WorkspaceBusy."""
    return _lock(STUDY_LOCK, "another fpplm ablate or fpplm tune is running here")


def server_lock() -> AbstractContextManager[None]:
    """Held by `fpplm up`, whose server, worker and database belong to the folder. Raises WorkspaceBusy."""
    return _lock(SERVER_LOCK, "another fpplm up is running here")


@contextmanager
def _lock(file: Path, busy: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    SCRATCH.mkdir(exist_ok=True)
    try:
        held = FileLock(file).acquire(timeout=0)
    except Timeout:
        raise WorkspaceBusy(busy, where=str(Path.cwd()), do="wait until it ends") from None
    with held:
        yield


def owner() -> str:
    """Describes who holds the lock."""
    try:
        who = json.loads(OWNER.read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']}, since {who['since']}"
    except (OSError, ValueError, KeyError):
        return "a process that has just started"
