"""What commands share: the project in this folder, its flows and bundles by name, and the first line of output."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fpplm_core.errors import DataError
from fpplm_core.escaping import printable

# Set before Prefect is imported, but not by `import fpplm`, which would silence a worker's log.
PREFECT = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # errors reach the terminal once, as our one line
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # the temporary server starts slowly on busy machines
}
DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"


def require_project() -> None:
    """Raises DataError if the working directory is not a project.

    Raises ModuleNotFoundError first if the extra `pipeline` is missing, which every command of a project needs.
    """
    if find_spec("dvc") is None:  # importing it is slow
        raise ModuleNotFoundError(name="dvc")
    if not Path("dvc.yaml").exists():
        raise DataError("no dvc.yaml here", where=str(Path.cwd()), do="run this in the project's folder")


def bundle_named(name: str) -> Path:
    """The bundle in a folder or, if there is no such folder, of a version of this project, such as v1 or production.

    Raises DataError, RegistryError, BundleError.
    """
    if name and Path(name).is_dir():
        return Path(name)
    if not Path("dvc.yaml").exists():
        do = "name the bundle's folder, such as ./bundle, or run this in the project's folder"
        raise DataError("no such folder, and no project here that has versions", where=name, do=do)
    from fpplm.registry.versions import bundle_of, resolve

    return bundle_of(resolve(name))


def announce(what: str) -> None:
    """Says on stderr what begins, at once: the imports of a slow command take seconds."""
    print(printable(f"{what} …"), file=sys.stderr, flush=True)


def run_flow(name: str, **arguments: Any) -> Any:
    """Runs the flow NAME in flows/NAME.py of the project in this folder; what it starts ends with this process.

    Raises DataError if the project has no such flow, or one for another version of fpplm.
    """
    if not Path(f"flows/{name}.py").exists():
        raise DataError(
            "no such flow here", where=f"flows/{name}.py", do="restore the project's copies with fpplm update"
        )
    from fpplm.pipeline.guard import guard
    from fpplm.pipeline.paths import SCRATCH

    # In the home directory another project's newer Prefect would upgrade the database beyond what this one reads.
    own = {} if "PREFECT_HOME" in os.environ else {DATABASE: f"sqlite+aiosqlite:///{SCRATCH.resolve() / 'prefect.db'}"}
    for variable, value in {**PREFECT, **own}.items():
        os.environ.setdefault(variable, value)
    SCRATCH.mkdir(exist_ok=True)
    guard()
    sys.path.insert(0, str(Path.cwd()))
    try:
        flow = getattr(importlib.import_module(f"flows.{name}"), name)
    except ImportError as error:
        if not (error.name or "").startswith("fpplm"):
            raise
        raise outdated(name, error) from None
    try:
        inspect.signature(flow).bind(**arguments)
    except TypeError as error:
        raise outdated(name, error) from None
    return flow(**arguments)


def outdated(name: str, error: Exception) -> DataError:
    """A flow for another version of fpplm."""
    got = str(error).removeprefix("got an ")
    return DataError("made for another version of fpplm", where=f"flows/{name}.py", got=got, do="run: fpplm update")
