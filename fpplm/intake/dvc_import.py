"""Takes in new data before a run: from a folder of drops, or from an import that DVC updates."""

from __future__ import annotations

from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo

from fpplm.intake import incoming
from fpplm.pipeline.start import tracked_folder
from fpplm.registry.git import is_repository, save
from fpplm_core.errors import DataError, RegistryError
from fpplm_core.escaping import printable
from fpplm_core.params import Params
from fpplm_core.settings import read_yaml


def take_in(settings: Params, commit: bool) -> list[str]:
    """Takes in new data as a new version of data.path, in DVC if it tracks that folder, else in Git.

    A new version of data.unlabelled, or of the model to start from, is recorded too if DVC tracks that folder.
    Returns one line for each file that was quarantined. Dev and test are never touched: drops go to the training split.
    Raises DataError, RegistryError.
    """
    pointer, *others = (pointer_of(folder) for folder in folders(settings))
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
    for one in filter(Path.exists, (pointer, *others)):
        try:
            with Repo() as repo:
                if read_yaml(one).get("deps"):
                    repo.update([str(one)])
                else:
                    repo.add([str(one.with_suffix(""))])
        except (DvcException, OSError) as error:
            raise RegistryError("DVC cannot update the data", where=str(one), got=str(error)) from None
    if commit and is_repository():
        taken = [drop.name for drop in drops if drop.accepted]
        save(tracked(settings), f"Data: {', '.join(taken) or settings.data.path}")
    return [f"{drop.name} was quarantined: {drop.reason}" for drop in drops if not drop.accepted]


def folders(settings: Params) -> list[str]:
    """The data folders: data.path and, if they are set, data.unlabelled and the model to start from."""
    found = settings.data.path, settings.data.unlabelled, tracked_folder(settings.model)
    return [str(folder) for folder in found if folder]


def pointer_of(folder: str) -> Path:
    """The .dvc file of a folder, if DVC tracks that folder."""
    return Path(f"{folder.rstrip('/')}.dvc")


def tracked(settings: Params) -> list[str]:
    """The paths in Git that identify the data."""
    pointers = [pointer for folder in folders(settings) if (pointer := pointer_of(folder)).exists()]
    own = [] if pointer_of(settings.data.path) in pointers else [settings.data.path]
    return own + [str(path) for pointer in pointers for path in (pointer, pointer.with_name(".gitignore"))]
