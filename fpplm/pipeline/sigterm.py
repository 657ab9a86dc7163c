"""SIGTERM to a flow. A file of its own: no stage imports it, so that Prefect's version is no part of their code."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import psutil


def end_on_sigterm() -> None:
    """Inside a flow on a temporary server: SIGTERM ends this process, its stages and that server at once.

    Prefect's own handler waits for the running tasks, which may take hours, and leaves the server behind. With a server
    of one's own it stays, since that is how a cancelled run is reported.
    """
    from prefect.settings import PREFECT_API_URL  # slow to import, and other commands need none of it

    def end(number: int, _: Any) -> None:
        for child in psutil.Process().children(recursive=True):
            child.terminate()
        os._exit(128 + number)

    if PREFECT_API_URL.value() is None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
