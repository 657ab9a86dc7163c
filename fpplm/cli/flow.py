"""Starts the flows of the project in this folder."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

# Set before Prefect is imported, and not by `import fpplm`: a worker's own log stays as it is.
PREFECT = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # errors reach the terminal once, as our own line
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # the temporary server starts slowly on busy machines
}


def load_flow(name: str) -> Any:
    """The module flows/NAME.py of the project in this folder, by name as DVC starts its stages."""
    for variable, value in PREFECT.items():
        os.environ.setdefault(variable, value)
    sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(f"flows.{name}")
