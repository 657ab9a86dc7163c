"""Takes in new data before a run: from a folder of drops, or from an import that DVC updates."""

from __future__ import annotations

from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo

from fpplm.intake import incoming
from fpplm.registry.git import is_repository, save
from fpplm_core.errors import DataError, RegistryError
from fpplm_core.escaping import printable
from fpplm_core.params import Params
from fpplm_core.settings import read_yaml


def take_in(settings: Params, commit: bool) -> list[str]:
    """Takes in new data as a new version of data.path, in DVC if it tracks that folder, else in Git.

    Returns one line for each file that was quarantined. Dev and test are never touched: drops go to the training split.
    Raises DataError, RegistryError.
    """
    pointer = pointer_of(settings)
    imported = pointer.exists() and bool(read_yaml(pointer).get("deps"))
    if imported and settings.data.incoming:
        raise DataError(
            "drops cannot be added to an imported folder",
            where="data.incoming",
            got=str(pointer),
            do="set data.incoming to null",
        )
    drops = incoming.take_in(settings)
    for drop in drops:
        kept = f"taken in, {drop.sentences} sentences" if drop.accepted else "quarantined"
        print(printable("; ".join(filter(None, (f"{drop.name}: {kept}", drop.reason, drop.note)))), flush=True)
    if pointer.exists():
        try:
            with Repo() as repo:
                if imported:
                    repo.update([str(pointer)])
                else:
                    repo.add([settings.data.path])
        except (DvcException, OSError) as error:
            raise RegistryError("DVC cannot update the data", where=str(pointer), got=str(error)) from None
    if commit and is_repository():
        taken = [drop.name for drop in drops if drop.accepted]
        save(tracked(settings), f"Data: {', '.join(taken) or settings.data.path}")
    return [f"{drop.name} was quarantined: {drop.reason}" for drop in drops if not drop.accepted]


def pointer_of(settings: Params) -> Path:
    """The .dvc file of the data folder, if DVC tracks that folder."""
    return Path(f"{settings.data.path.rstrip('/')}.dvc")


def tracked(settings: Params) -> list[str]:
    """The paths in Git that identify the data."""
    pointer = pointer_of(settings)
    return [str(pointer), str(pointer.with_name(".gitignore"))] if pointer.exists() else [settings.data.path]
