"""Which files, of code or others, lie in this Git repository, and whether they are committed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from fpplm.pipeline.fingerprint import Fingerprint, sources
from fpplm.registry.git import git, try_git
from fpplm_core.errors import RegistryError


def in_repository(code: Fingerprint) -> list[Path]:
    """The files of a fingerprint in this Git repository, except those that Git ignores, such as .venv.

    Like all paths here, they are relative to the working directory. There are none outside a repository or without Git.
    """
    top = try_git("rev-parse", "--show-toplevel")
    inside = [path for path in sources(code) if top and path.resolve().is_relative_to(Path(top).resolve())]
    paths = [Path(os.path.relpath(path)) for path in inside]
    ignored = (try_git("check-ignore", "-z", "--", *map(str, paths)) or "").split("\0") if paths else []
    return [path for path in paths if str(path) not in ignored]


def uncommitted(paths: Iterable[Path]) -> list[Path]:
    """The files that differ from HEAD, including new ones; none outside a repository."""
    names = [str(path) for path in paths]
    top = try_git("rev-parse", "--show-toplevel")  # what Git's paths are relative to
    if top is None or not names:
        return []
    status = git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *names)
    return sorted(Path(os.path.relpath(Path(top) / line[3:])) for line in status.split("\0") if line)


def last_commit(paths: Iterable[Path]) -> str | None:
    """The last commit that changed one of these files; None if there is none."""
    names = [str(path) for path in paths]
    return try_git("rev-list", "-1", "HEAD", "--", *names) or None if names else None


def require_committed(paths: Sequence[Path]) -> str:
    """The last commit that changed one of these files. Raises RegistryError if one is not committed as it is now."""
    unknown = {path for path in paths if last_commit([path]) is None}  # Git's status names no file that it ignores
    if wrong := sorted({*unknown, *uncommitted(paths)}):
        raise RegistryError("not committed", where=", ".join(map(str, wrong)), do="commit them first")
    return git("rev-list", "-1", "HEAD", "--", *map(str, paths))


def commit_without(folder: Path) -> str | None:
    """The commit of the code, with `-dirty` if a tracked file outside this folder differs; None without Git."""
    commit, root = try_git("describe", "--always"), Path.cwd()
    place = folder.resolve()
    left_out = [f":(exclude){place.relative_to(root)}"] if place != root and place.is_relative_to(root) else []
    changed = commit and try_git("diff", "--name-only", "HEAD", "--", ":/", *left_out)
    return f"{commit}-dirty" if changed else commit
