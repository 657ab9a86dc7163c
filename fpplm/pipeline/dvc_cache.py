"""Compares the stages' outputs in DVC's cache with their names, which are hashes.

DVC trusts the files in its cache: one that was damaged on the disk, or edited, would be restored as the model of this
run, and pushed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from dvc.stage import PipelineStage

from fpplm.pipeline.dvc import open_repo


def repair_cache(commit: str | None = None) -> list[str]:
    """Removes cached files that do not match dvc.lock, of a commit if one is given; returns one line for each.

    DVC then makes them again, or fetches them from its remote.

    Raises ParamsError if DVC cannot read the project.
    """
    with open_repo() as repo, repo.switch(commit) if commit else nullcontext():
        outs = [out for one in repo.index.stages if isinstance(one, PipelineStage) for out in one.outs]
        objects = {name for out in outs if out.use_cache and out.hash_info for name in _objects(out)}
        files = {name: Path(repo.cache.local.oid_to_path(name)) for name in sorted(objects)}
    damaged = [file for name, file in files.items() if file.exists() and _md5(file) != name.removesuffix(".dir")]
    for file in damaged:
        file.unlink()
    return [f"{file} was damaged and is removed" for file in damaged]


def _objects(out: Any) -> Iterator[str]:
    """The names of an output's files in the cache; of a folder's list and of the files that it names."""
    yield out.hash_info.value
    if out.hash_info.isdir:
        yield from (info.value for _, _, info in out.get_obj() or ())


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()
