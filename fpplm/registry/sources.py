"""Which part of a fingerprint's code lies in this Git repository, and whether Git holds it as it is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from fpplm.pipeline.fingerprint import Fingerprint, sources


def in_repository(code: Fingerprint) -> list[Path]:
    """The files of a fingerprint that lie in this Git repository and that Git does not ignore, as it ignores .venv.

    Like all paths here, relative to the working directory. Without Git, or outside a repository, there are none.
    """
    top = _git("rev-parse", "--show-toplevel").rstrip("\n")
    inside = [path for path in sources(code) if top and path.resolve().is_relative_to(Path(top).resolve())]
    paths = [Path(os.path.relpath(path)) for path in inside]
    ignored = set(_git("check-ignore", "-z", "--", *map(str, paths)).split("\0")) if paths else set()
    return [path for path in paths if str(path) not in ignored]


def uncommitted(paths: Iterable[Path]) -> list[Path]:
    """Those of these files that differ from HEAD, new ones among them."""
    names = [str(path) for path in paths]
    shown = _git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *names) if names else ""
    top = Path(_git("rev-parse", "--show-toplevel").rstrip("\n"))  # what Git's paths are relative to
    return sorted(Path(os.path.relpath(top / line[3:])) for line in shown.split("\0") if line)


def last_commit(paths: Iterable[Path]) -> str | None:
    """The last commit that changed one of these files; None where there is none."""
    names = [str(path) for path in paths]
    return _git("log", "-1", "--format=%H", "--", *names).strip() or None if names else None


def _git(*arguments: str) -> str:
    """What Git prints; nothing where it fails or is not installed."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
