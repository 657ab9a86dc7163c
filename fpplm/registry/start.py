"""Chooses the model that the next training starts from where model.start is `production`."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from fpplm.pipeline.dvc import using_dvc
from fpplm.pipeline.paths import MODEL, SCRATCH
from fpplm.pipeline.start import ORIGIN, POINTER, PRODUCTION, START, VERSION
from fpplm.pipeline.why import source_changes
from fpplm.registry.copies import copy_of
from fpplm.registry.git import is_repository, save
from fpplm.registry.repository import fetch
from fpplm.registry.versions import commit_of, in_production
from fpplm_core.errors import ParamsError
from fpplm_core.files import read_json, write_json
from fpplm_core.params import Params


def pin_start(settings: Params, commit: bool, cold_every: int | None = None) -> str | None:
    """Fills data/start with the model in production if the training has to run anyway, and says so in a line.

    So a start changes only together with the data, code or parameters of train or a stage before it, and all later
    steps see one fixed folder; without such a change, it is what data/start.dvc says. Of `cold_every` models, each made
    from the one before, one starts cold. With `commit`, Git and the remote repository take part. Does nothing, and
    returns None, if model.start is not `production`.

    Raises:
        ParamsError: data.path contains data/start, or `cold_every` is given for a start that is not `production`.
        RegistryError: Git or DVC cannot fetch the model in production.
    """
    if settings.model.start != PRODUCTION:
        if cold_every:
            do = "leave out --cold-every, or set model.start to production"
            raise ParamsError("--cold-every has no effect", where="model.start", got=repr(settings.model.start), do=do)
        return None
    if not is_repository():
        return "start: cold, no Git repository here"
    if START.resolve().is_relative_to(Path(settings.data.path).resolve()):
        do = "name a folder beside it, such as data/corpus"
        raise ParamsError(f"contains {START}", where="data.path", got=settings.data.path, do=do)
    restore()
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
    with using_dvc("track the start", START) as repo:
        repo.add([str(START)])
    if commit:
        save([str(POINTER), str(POINTER.with_name(".gitignore"))], f"Start: {version or 'cold'}")
    return f"start: {version}" if version else f"start: cold, {why}"


def restore() -> None:
    """Makes data/start what data/start.dvc says, which may come from a clone or a pull. Raises RegistryError."""
    if POINTER.exists():
        with using_dvc("fetch the start", START) as repo:
            repo.pull([str(POINTER)], force=True)


def fill(folder: Path, version: str | None, cold_every: int | None) -> tuple[str | None, str]:
    """Writes a version's model, or none, and `version.json` to a new folder; returns the version, or why it is cold."""
    chosen, why = None, "nothing is in production"
    if version:
        copy_of(MODEL, version, commit_of(version), folder)
        if not (folder / ORIGIN).exists():
            why = f"an earlier fpplm made {version}"
        elif cold_every and len(read_json(folder / ORIGIN)["starts"]) + 1 >= cold_every:
            why = f"as one of {cold_every} promoted models does"
        else:
            chosen = version
    if not chosen:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    write_json(folder / VERSION, {"version": chosen})
    return chosen, why
