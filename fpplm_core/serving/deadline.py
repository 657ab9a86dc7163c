"""Ends calls of ONNX Runtime that take too long: a graph is a program, and may have a loop without end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK = 5.0  # s between two looks at what runs


class Watchdog:
    """One thread that looks at all calls every TICK seconds: a timer for each would cost a tenth of a short text."""

    def __init__(self) -> None:
        self.running: dict[object, tuple[list[float], Callable[[], object]]] = {}
        self.thread: threading.Thread | None = None
        self.lock = threading.Lock()

    @contextmanager
    def limit(self, seconds: float, cancel: Callable[[], object]) -> Iterator[None]:
        """Calls `cancel`, from another thread, if the block runs longer than `seconds`, give or take TICK."""
        self._start()
        key = object()
        self.running[key] = ([seconds], cancel)
        try:
            yield
        finally:
            del self.running[key]

    def _start(self) -> None:
        if self.thread is None or not self.thread.is_alive():  # a forked process has no thread but its own
            with self.lock:
                if self.thread is None or not self.thread.is_alive():
                    self.thread = threading.Thread(target=self._watch, name="fpplm deadline", daemon=True)
                    self.thread.start()

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(TICK):
            for left, cancel in list(self.running.values()):
                left[0] -= TICK
                if left[0] <= 0:
                    cancel()


WATCHDOG = Watchdog()
