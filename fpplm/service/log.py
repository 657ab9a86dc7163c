"""What the service writes to stderr: lines without text of any request."""

from __future__ import annotations

import sys
import traceback

from fpplm_core.errors import FpplmError
from fpplm_core.escaping import printable


def log(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


def log_error(error: Exception) -> None:
    """Logs the kind and place of an error: its message and its traceback could show text of a request."""
    if isinstance(error, FpplmError):
        log(f"{type(error).__name__}: {error.what}")
    else:
        place = traceback.extract_tb(error.__traceback__)[-1]
        log(f"unexpected {type(error).__name__} at {place.filename}:{place.lineno}")
