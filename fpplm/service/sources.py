"""Where the served bundle comes from: a folder, or the version that a project has in production."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from fpplm.pipeline.start import PRODUCTION
from fpplm_core.errors import RegistryError


class Source(Protocol):
    """`state` changes whenever there may be a new bundle; `path` is the folder of the current one."""

    def state(self) -> object: ...

    def path(self) -> Path: ...


class Folder:
    """A bundle's folder, which may be replaced or overwritten."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def state(self) -> object:
        """The names, sizes, times and inodes of all files."""
        found = []
        for place, _, names in os.walk(self.folder):
            for name in names:
                facts = (Path(place) / name).stat()
                found.append((place, name, facts.st_size, facts.st_mtime_ns, facts.st_ino))
        return sorted(found)

    def path(self) -> Path:
        return self.folder


class Production:
    """The version that the tags of the project in this folder have in production. Methods raise RegistryError."""

    def state(self) -> object:
        from fpplm.registry.repository import fetch
        from fpplm.registry.versions import last_assignment

        fetch()
        return last_assignment()

    def path(self) -> Path:
        """The verified copy of the version in production; DVC, which is large, runs in a separate process.

        That process ends with this one.
        """
        context = get_context("spawn")
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_send_production, args=(there,), daemon=True)
        child.start()
        there.close()
        try:
            found = here.recv()
        except EOFError:
            what = "the process that fetches the version in production was killed"
            raise RegistryError(what, do="it is tried again; see whether the machine has enough memory") from None
        finally:
            child.join()
            here.close()
        if isinstance(found, Exception):
            raise found
        return Path(found)


def _send_production(there: Connection) -> None:
    try:
        there.send(_production())
    except Exception as error:  # the parent raises it
        there.send(error)


def _production() -> Path:
    from fpplm.registry.versions import bundle_of, resolve

    return bundle_of(resolve(PRODUCTION)).absolute()


def source_of(name: Path, require_project: Callable[[], None]) -> Source:
    """The source that a command's argument names: a folder, or `production` if no folder has this name."""
    if str(name) != PRODUCTION or name.exists():
        return Folder(name)
    require_project()
    return Production()
