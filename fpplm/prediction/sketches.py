"""Counts the texts of a prediction, for `fpplm drift`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fpplm_core.files import making, write_text
from fpplm_core.serving import Predictor
from fpplm_core.serving.sketch import Sketch


@contextmanager
def sketching(file: Path | None, predictor: Predictor) -> Iterator[Sketch | None]:
    """A sketch that is written to the file at the end, also after an error; None without a file."""
    sketch = Sketch.of(predictor) if file else None
    try:
        yield sketch
    finally:
        if file and sketch:
            with making(file):
                write_text(file, sketch.as_text())
