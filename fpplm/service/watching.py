"""Changes to a new version when its source changes, without a failed request."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TypeVar

from fpplm.service.app import Service
from fpplm.service.log import log
from fpplm.service.model import Model
from fpplm.service.sources import Source
from fpplm_core.errors import BundleError, FpplmError

T = TypeVar("T")
PERIOD = 5.0  # s between two looks at the source


async def watch(service: Service, source: Source, seen: object, load: Callable[[Path], Model]) -> None:
    """Looks at the source every PERIOD seconds; `seen` is its state when the model in service was loaded.

    A version that does not load, or that fails the check of its golden sentences, does not go into service.
    """
    said = ""
    while True:
        await asyncio.sleep(PERIOD)
        state: object = None
        try:
            state = await run_aside(source.state)
            if state != seen:
                await _take(service, await run_aside(lambda: load(source.path())))
                seen, said = state, ""
        except Exception as error:  # whatever a new version raises, the next one is to be found
            if isinstance(error, BundleError):  # the same files would fail again
                seen = state
            what = str(error) if isinstance(error, (FpplmError, OSError)) else f"unexpected {type(error).__name__}"
            if what != said:
                said = what
                log(f"{service.model.version} stays in service: {said}")
                service.metrics.reloads.labels("refused").inc()


async def _take(service: Service, new: Model) -> None:
    """Puts a model into service; the previous one answers the requests that it has accepted."""
    if new.version == service.model.version:
        await asyncio.to_thread(new.close)
        return
    old = service.model
    service.take(new)
    service.metrics.reloads.labels("taken").inc()
    log(f"{new.version} in service, instead of {old.version}")
    await asyncio.to_thread(old.close)
    del old
    gc.collect()  # its parts refer to each other, and hold the memory of its graphs


async def run_aside(work: Callable[[], T]) -> T:
    """As asyncio.to_thread, but the end of the process does not wait for the thread: a remote may never answer."""
    answer = Future[T]()

    def run() -> None:
        with suppress(InvalidStateError):  # the service is ending, and has cancelled it
            try:
                result = work()
            except BaseException as error:
                answer.set_exception(error)
            else:
                answer.set_result(result)

    Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(answer)
