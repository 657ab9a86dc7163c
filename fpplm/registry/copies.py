"""Copies what DVC keeps of a version: its bundle, its corpus."""

from __future__ import annotations

from pathlib import Path

from fpplm.pipeline.dvc_cache import repair_cache
from fpplm.registry.git import git
from fpplm_core.errors import RegistryError


def copy_of(path: Path, version: str, commit: str, target: Path) -> Path:
    """Copies a file or folder of a version from DVC's cache or remote; returns `target`. Raises RegistryError."""
    from dvc.repo import Repo

    try:
        top, inside = git("rev-parse", "--show-toplevel"), git("rev-parse", "--show-prefix") + str(path)
        repair_cache(commit)  # DVC would trust a damaged file, and not ask the remote
        Repo.get(top, inside, out=str(target), rev=commit)
    except Exception as error:  # each storage library has its own
        do = "the DVC remote must hold it (dvc remote list)"
        raise RegistryError(f"cannot fetch the {path.name}", where=version, got=str(error), do=do) from None
    return target
