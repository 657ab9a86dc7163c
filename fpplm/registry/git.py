"""Calls Git for the whole project."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fpplm_core.errors import RegistryError

REMOTE = "origin"
PATIENCE = 3600.0  # seconds for a remote
SHOWN = 600  # characters of Git's message in ours
# A hook of Git sets them: they name its repository, not that of the folder in which we call Git.
LOCATION = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
NO_REPOSITORY = "not a git repository (or any"  # without "(or any", a .git file names a repository that is gone


def git(*arguments: str, stdin: str | None = None, options: Sequence[str] = ()) -> str:
    """What Git prints, without the trailing newline. Raises RegistryError as `output` does."""
    return os.fsdecode(output(*arguments, stdin=stdin, options=options)).rstrip("\n")  # names of files may be any bytes


def output(*arguments: str, stdin: str | None = None, options: Sequence[str] = ()) -> bytes:
    """What Git prints, byte for byte; `options` come before the subcommand.

    Raises RegistryError with the beginning of Git's own message.
    """
    try:
        done = subprocess.run(
            ["git", *options, *arguments],
            env=environment(),
            input=None if stdin is None else os.fsencode(stdin),
            capture_output=True,
            check=False,
            timeout=PATIENCE if arguments[0] in ("fetch", "ls-remote", "push") else None,
        )
    except subprocess.TimeoutExpired as error:
        do = "see whether the remote answers, then run again"
        raise RegistryError(f"git {arguments[0]} failed", got=f"no answer in {error.timeout:g} s", do=do) from None
    except FileNotFoundError:
        raise RegistryError("git is not installed", do="see: fpplm doctor") from None
    if done.returncode:
        lines = [line for line in os.fsdecode(done.stderr).splitlines() if not line.startswith("hint:")]
        message = " ".join(" ".join(lines).split()) or f"exit code {done.returncode}"
        raise RegistryError(f"git {arguments[0]} failed", got=message[:SHOWN], do="see Git's message, then run again")
    return done.stdout


def environment() -> dict[str, str]:
    """The variables for Git: it finds the repository by the folder, and its messages are in English."""
    return {name: value for name, value in os.environ.items() if name not in LOCATION} | {"LANGUAGE": "C"}


def read_committed(commit: str, path: str, checked_out: bool = False) -> bytes:
    """The content of a file of this folder at a commit, byte for byte, or as Git would check it out here.

    Raises RegistryError.
    """
    try:
        return output("cat-file", "--filters" if checked_out else "blob", f"{commit}:./{path}")
    except RegistryError as error:
        do = f"see what the commit has: git show --stat {commit}; if it is not here: git fetch --tags"
        raise RegistryError("not in the repository", where=path, got=error.got, do=do) from None


def committed_yaml(commit: str, path: str) -> Any:
    """The values in a YAML file of this folder at a commit. Raises RegistryError as `read_committed` does."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(read_committed(commit, path))


def try_git(*arguments: str) -> str | None:
    """What Git prints, as `git` does; None if it fails, is not installed, or there is no repository."""
    try:
        return git(*arguments)
    except RegistryError:
        return None


def is_repository() -> bool:
    """Whether this folder is in a Git repository; False without Git.

    Raises RegistryError if there is one that Git refuses to read, such as another user's (safe.directory).
    """
    if shutil.which("git") is None:
        return False
    try:
        git("rev-parse", "--git-dir")
    except RegistryError as error:
        if error.got.removeprefix("fatal: ").startswith(NO_REPOSITORY):
            return False
        raise
    return True


def has_remote() -> bool:
    return REMOTE in git("remote").split()


def save(paths: Sequence[str], message: str) -> None:
    """Commits only these paths, if they differ from HEAD."""
    ignored = (try_git("check-ignore", "--", *paths) or "").splitlines()
    there = [path for path in paths if Path(path).exists() and path not in ignored]
    git("add", "--", *there)
    if git("diff", "--cached", "--name-only", "--", *there):
        git("commit", "--quiet", "--message", message, "--", *there, options=identity())


def identity() -> list[str]:
    """Options of Git that name an author and committer if it knows none, as on a machine that only runs jobs."""
    known = all(try_git("var", f"GIT_{who}_IDENT") for who in ("AUTHOR", "COMMITTER"))
    return [] if known else ["-c", "user.name=fpplm", "-c", "user.email=fpplm@localhost"]
