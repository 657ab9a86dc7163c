"""Ends calls of ONNX Runtime that take too long: a graph is a program, and may contain an endless loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import onnxruntime as ort

from fpplm_core.errors import BundleError
from fpplm_core.serving.files import one_line

TICK = 5.0  # s between two looks at what runs
DEADLINE = 60.0  # s for opening a graph and for each batch, which takes some hundredths of a second on a CPU


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


@contextmanager
def graph_limits(where: str, seconds: float, cancel: Callable[[], object]) -> Iterator[None]:
    """Calls `cancel` at the deadline. Raises BundleError for what ONNX Runtime raises, then or before."""
    late = []

    def stop() -> None:
        late.append(True)
        cancel()

    try:
        with WATCHDOG.limit(seconds, stop):
            yield
    except Exception as error:  # ONNX Runtime has many kinds, with no common base
        got = f"no end within {seconds:.0f} s" if late else one_line(error)
        do = "try another variant or device, or make the bundle again"
        raise BundleError("ONNX Runtime cannot run the graph", where=where, got=got, do=do) from None


def run_options() -> ort.RunOptions:
    """Options of a run that logs nothing."""
    options = ort.RunOptions()
    options.log_severity_level = 4  # errors are raised, in one line
    return options
