"""`fpplm gc`: what a project no longer needs.

Nothing goes that a commit, a tag, an experiment of `dvc exp` or the working copy names: so each registered version,
production and the current dvc.lock keep their files. A cache outside the project may be other projects' too and stays
as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dvc.exceptions import DvcException
from dvc.repo import Repo
from filelock import FileLock, Timeout

from fpplm.pipeline.paths import SCRATCH, TRAIN_LOCK
from fpplm_core.errors import RegistryError
from fpplm_core.files import remove

logging.getLogger("dvc").setLevel(logging.ERROR)  # it warns of commits before the first run, which name no outputs


class Garbage(NamedTuple):
    """What may go: what it is, and its files or folders."""

    name: str
    paths: list[Path]

    @property
    def bytes(self) -> int:
        return sum(map(size, self.paths))


def find_garbage() -> list[Garbage]:
    """All that may go. The caller holds both locks of `project.lock`.

    Raises RegistryError if DVC cannot tell what is used.
    """
    found = [Garbage(f"{path}, a clone of fpplm reproduce", [path]) for path in _inside("reproduce")]
    found += [Garbage(f"{path}, an older unfinished training", [path]) for path in stale_checkpoints()]
    objects = unused_objects()
    return found + ([Garbage(f"DVC's cache, {len(objects)} files that no commit names", objects)] if objects else [])


def remove_garbage(found: list[Garbage]) -> None:
    for path in (path for one in found for path in one.paths):
        remove(path)


def stale_checkpoints() -> list[Path]:
    """All but the newest one; none while a process trains, which may use any of them."""
    stale = sorted(_inside("checkpoints"), key=lambda path: path.stat().st_mtime)[:-1]
    try:
        with FileLock(TRAIN_LOCK).acquire(timeout=0):
            return stale
    except Timeout:
        return []


def unused_objects() -> list[Path]:
    """The files of the project's own DVC cache that no commit, experiment or working copy names, lists of files first.

    Unlike `dvc gc`, it keeps the metrics too: Git has them, but dvc.lock names them.
    """
    try:
        with Repo() as repo:
            cache = repo.cache.local
            if not Path(cache.path).resolve().is_relative_to(Path(repo.dvc_dir).resolve()):
                return []
            # Forced: a clone lacks the lists of files of older commits; what they name comes from the remote with them.
            named = repo.used_objs(all_commits=True, all_experiments=True, force=True)
            used = {info.value for infos in named.values() for info in infos}
            for _ in repo.brancher(all_commits=True, all_experiments=True):
                used |= {out.hash_info.value for out in repo.index.outs if out.hash_info}
            unused = sorted((name for name in cache.all() if name not in used), key=lambda name: ".dir" not in name)
            return [Path(cache.oid_to_path(name)) for name in unused]
    except DvcException as error:
        raise RegistryError("DVC cannot tell what the commits use", where="dvc.yaml", got=str(error)) from None


def size(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())


def _inside(name: str) -> Iterator[Path]:
    folder = SCRATCH / name
    return (path for path in sorted(folder.iterdir()) if path.is_dir()) if folder.is_dir() else iter(())
