"""Ends what a command has started when the command is gone, however it ended.

Prefect's servers and workers do not notice that their parent was killed with -9. All processes that a command starts
carry its id in the environment; a small separate process, the guard, waits until the command ends, then ends those
left.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress

import psutil

MARK = "FPPLM_STARTED_BY"
GRACE = 20.0  # seconds for a process to end by itself: a training saves its state
_held: list[subprocess.Popen[bytes]] = []  # the guard waits for the end of its input, which closes with this process


def guard() -> None:
    """Marks all that this process starts from now on, and starts the process that ends them after it."""
    os.environ[MARK] = str(os.getpid())
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    _held.append(
        subprocess.Popen(
            [sys.executable, "-m", __name__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=unmarked,
            start_new_session=True,  # neither Ctrl-C nor the end of the terminal reaches it
        )
    )


def started_by(process_id: int, spared: Collection[int] = ()) -> Iterator[psutil.Process]:
    """The running processes that a guarded process started, directly or not, whatever their parent is by now."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid not in {process_id, *spared} and process.environ().get(MARK) == str(process_id):
                yield process


def end_started_by(process_id: int) -> None:
    left = list(started_by(process_id))
    for process in left:
        with suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(left, timeout=GRACE)
    for process in started_by(process_id):  # and what these have started since
        with suppress(psutil.Error):
            process.kill()


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_started_by(int(sys.argv[1]))
