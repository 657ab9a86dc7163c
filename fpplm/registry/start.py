"""Chooses the model that the next training starts from where model.start is `production`."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from dvc.exceptions import DvcException
from dvc.repo import Repo

from fpplm.pipeline.paths import MODEL, SCRATCH
from fpplm.pipeline.start import ORIGIN, POINTER, PRODUCTION, START, VERSION
from fpplm.pipeline.why import source_changes
from fpplm.registry.copies import copy_of
from fpplm.registry.git import is_repository, save
from fpplm.registry.repository import fetch
from fpplm.registry.versions import commit_of, in_production
from fpplm_core.errors import ParamsError, RegistryError
from fpplm_core.files import read_json, write_json
from fpplm_core.params import Params


def pin_start(settings: Params, commit: bool, cold_every: int | None = None) -> str | None:
    """Fills data/start with the model in production, and says so in a line; changes nothing if train has nothing new.

    So a start changes only together with data, code or parameters, and all later steps see one fixed folder. Of
    `cold_every` models, each made from the one before, one starts cold. With `commit`, Git and the remote repository
    take part. Does nothing, and returns None, if model.start is not `production`.

    Raises:
        ParamsError: data.path contains data/start.
        RegistryError: Git or DVC cannot fetch the model in production.
    """
    if settings.model.start != PRODUCTION or not is_repository():
        return None
    if START.is_relative_to(settings.data.path):
        do = "name a folder beside it, such as data/corpus"
        raise ParamsError(f"contains {START}", where="data.path", got=settings.data.path, do=do)
    changes = source_changes("train", settings)
    if all(change.kind == "input" and change.name.startswith("start") for change in changes):
        return None
    if commit:
        fetch()
    with TemporaryDirectory(dir=SCRATCH) as scratch:
        version, why = fill(Path(scratch) / START.name, in_production(), cold_every)
        shutil.rmtree(START, ignore_errors=True)
        START.parent.mkdir(parents=True, exist_ok=True)
        (Path(scratch) / START.name).rename(START)
    try:
        with Repo() as repo:
            repo.add([str(START)])
    except (DvcException, OSError) as error:
        raise RegistryError("DVC cannot track the start", where=str(START), got=str(error)) from None
    if commit:
        save([str(POINTER), str(POINTER.with_name(".gitignore"))], f"Start: {version or 'cold'}")
    return f"start: {version}" if version else f"start: cold, {why}"


def fill(folder: Path, version: str | None, cold_every: int | None) -> tuple[str | None, str]:
    """Writes a version's model, or none, and `version.json` to a new folder; returns the version, or why it is cold."""
    chosen, why = None, "nothing is in production"
    if version:
        copy_of(MODEL, version, commit_of(version), folder)
        if not (folder / ORIGIN).exists():
            why = f"an earlier fpplm made {version}"
        elif cold_every and len(read_json(folder / ORIGIN)["starts"]) + 1 >= cold_every:
            why = f"as one of {cold_every} models does"
        else:
            chosen = version
    if not chosen:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    write_json(folder / VERSION, {"version": chosen})
    return chosen, why
