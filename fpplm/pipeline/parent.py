"""A process that ends with the one that started it."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

import psutil

WATCHED = "FPPLM_END_WITH"  # the number of the process that has started a stage, where that is not DVC
GRACE = 2.0  # seconds in which a stage that Ctrl-C has reached as well ends by itself, and says so
SHELLS = {"sh", "dash", "bash", "zsh", "ksh", "fish", "cmd.exe"}


def end_with_parent() -> None:
    """Ends this stage when what started it is gone: killed with -9, DVC or an ablation cannot end its stages."""
    with suppress(psutil.NoSuchProcess):  # it is gone already
        if WATCHED in os.environ:
            process: psutil.Process | None = psutil.Process(int(os.environ[WATCHED]))
        else:
            process = psutil.Process().parent()
            if process and process.name().lower() in SHELLS:  # some shells stay between, others become the command
                process = process.parent()
        if process:
            process.wait()
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGTERM)


if {"DVC_STAGE", WATCHED} & set(os.environ):  # before the stage imports what takes seconds
    threading.Thread(target=end_with_parent, daemon=True).start()
