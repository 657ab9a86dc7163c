"""Opens the project as DVC reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fpplm_core.errors import ParamsError, RegistryError
from fpplm_core.settings import read_yaml

if TYPE_CHECKING:
    from dvc.repo import Repo

FILES = ("dvc.yaml", "prefect.yaml", "expectations.yaml", "slices.yaml")
POINTERS = ("*.dvc", "*/*.dvc")  # where .dvc files usually lie; DVC reads those elsewhere too


def require_readable() -> None:
    """Raises ParamsError naming file and line if one of the project's YAML files is not valid YAML.

    It takes milliseconds. params.yaml is left to `fpplm_core.params.load`, dvc.lock to `repair_workspace`.
    """
    pointers = [path for pattern in POINTERS for path in Path().glob(pattern) if path.is_file()]
    for path in (*filter(Path.exists, map(Path, FILES)), *sorted(pointers)):
        read_yaml(path)


@contextmanager
def open_repo() -> Iterator[Repo]:
    """The DVC repository of this folder, with all its stages read.

    Raises ParamsError naming file and line if DVC cannot read its configuration, dvc.yaml, dvc.lock or a .dvc file.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        repo = Repo()
        _ = repo.index.graph  # reads all files
    except DvcException as error:
        raise _unreadable(error) from None
    with repo:
        yield repo


@contextmanager
def using_dvc(purpose: str, where: Path) -> Iterator[Repo]:
    """The DVC repository of this folder. Raises RegistryError if DVC fails in the block."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            yield repo
    except (DvcException, OSError) as error:
        raise RegistryError(f"DVC cannot {purpose}", where=str(where), got=str(error)) from None


def _unreadable(error: Exception) -> ParamsError:
    path = getattr(error, "path", None)
    if path:
        read_yaml(path)  # raises with the line, where the file is not valid YAML
    reason = " ".join(str(error.__cause__ or error).split())
    return ParamsError("DVC cannot read the project", where=path or "", got=reason, do="correct the file")
