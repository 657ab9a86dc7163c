"""The project in this folder: whether there is one, and its flows by name."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from fpplm_core.errors import DataError

# Set before Prefect is imported, and not by `import fpplm`: a worker's own log stays as it is.
PREFECT = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # errors reach the terminal once, as our own line
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # the temporary server starts slowly on busy machines
}


def require_project() -> None:
    """Raises DataError where the working directory is no project."""
    if not Path("dvc.yaml").exists():
        raise DataError("no dvc.yaml here", where=str(Path.cwd()), do="run in the project's folder")


def load_flow(name: str) -> Any:
    """The module flows/NAME.py of the project in this folder, imported by name as DVC starts its stages.

    Raises DataError where the project has no such flow.
    """
    for variable, value in PREFECT.items():
        os.environ.setdefault(variable, value)
    if not Path(f"flows/{name}.py").exists():
        raise DataError("no such flow here", where=f"flows/{name}.py", do="get the project's copies: fpplm update")
    sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(f"flows.{name}")
