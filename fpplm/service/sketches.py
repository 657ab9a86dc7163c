"""Writes what a model has seen in service as a sketch (fpplm_core/serving/sketch.py), for `fpplm drift`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from fpplm.service.log import log
from fpplm_core.files import write_text
from fpplm_core.serving.sketch import Sketch, read_sketch

PERIOD = 10.0  # s between two writes


class SketchFile:
    """A model's sketch and its file, FOLDER/VERSION.json, which continues that of an earlier service.

    Whoever moves the file away has all texts up to then; the next file has those since. Only one service may write it.
    """

    def __init__(self, folder: Path, sketch: Sketch, version: str) -> None:
        """Raises DataError if the file is there and is no sketch."""
        self.path, self.sketch = folder / f"{version}.json", sketch
        self._uncounted = Sketch(sketch.types, sketch.bundle)  # what the file has more, or less, than `sketch`
        self._written: Sketch | None = None  # what of `sketch` is in the file, if there is one
        if self.path.exists():
            self._uncounted += read_sketch(self.path)
            self._written = Sketch(sketch.types, sketch.bundle)
        self._lock = Lock()

    def write(self) -> None:
        """Raises OSError."""
        with self._lock:
            counted = self.sketch.copy()
            if self._written and not self.path.exists():
                self._uncounted = Sketch(counted.types, counted.bundle) - self._written
            write_text(self.path, (counted + self._uncounted).as_text())
            self._written = counted


async def write_sketches(current: Callable[[], SketchFile | None]) -> None:
    """Writes the sketch of the model that is in service, every PERIOD seconds."""
    while True:
        await asyncio.sleep(PERIOD)
        if file := current():
            try:
                await asyncio.to_thread(file.write)
            except OSError as error:  # a full disk may be emptied
                log(f"{file.path} was not written: {error.strerror or error}")
