"""A process that ends with the one that started it."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

import psutil

WATCHED = "FPPLM_END_WITH"  # id of the process that started a stage, if that is not DVC
GRACE = 2.0  # seconds for a stage that also received Ctrl-C to end by itself with a message
SHELLS = {"sh", "dash", "bash", "zsh", "ksh", "fish", "cmd.exe"}


def end_with_parent() -> None:
    """Ends this stage when its parent is gone: DVC or an ablation killed with -9 cannot end its stages."""
    with suppress(psutil.NoSuchProcess):  # it is gone already
        if WATCHED in os.environ:
            process: psutil.Process | None = psutil.Process(int(os.environ[WATCHED]))
        else:
            process = psutil.Process().parent()
            if process and process.name().lower() in SHELLS:  # some shells stay in between, others exec the command
                process = process.parent()
        if process:
            process.wait()
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGTERM)


if {"DVC_STAGE", WATCHED} & set(os.environ):  # before the stage spends seconds on imports
    threading.Thread(target=end_with_parent, daemon=True).start()
