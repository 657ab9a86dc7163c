"""What the project's flows share: which failures are retried, and how a flow ends on SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from typing import Any

import psutil
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL

from fpplm.pipeline.failures import RETRYABLE, StageError
from fpplm_core.errors import FpplmError


def is_retryable(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Whether a retry may help: after a crash, a full disk or an unreachable remote, but not after a verdict."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, StageError):
        return not error.is_final
    return not isinstance(error, FpplmError) or isinstance(error, RETRYABLE)


def retry_policy(delays: Sequence[float]) -> dict[str, Any]:
    """Options of a task that is retried after each of these delays, in seconds; DVC does the caching, not Prefect."""
    return {
        "cache_policy": NO_CACHE,
        "retries": len(delays),
        "retry_delay_seconds": list(delays),
        "retry_condition_fn": is_retryable,
    }


def end_on_sigterm() -> None:
    """Inside a flow on a temporary server: SIGTERM ends this process, its stages and that server at once.

    Prefect's own handler waits for the running tasks, which may take hours, and leaves the server behind. With a
    permanent server that handler stays, since it reports cancelled runs.
    """

    def end(number: int, _: Any) -> None:
        for child in psutil.Process().children(recursive=True):
            child.terminate()
        os._exit(128 + number)

    if PREFECT_API_URL.value() is None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
