"""Calls Git for the whole project."""

from __future__ import annotations

import subprocess

from fpplm_core.errors import RegistryError

REMOTE = "origin"


def git(*arguments: str, stdin: str | None = None) -> str:
    """What Git prints, without the trailing newline. Raises RegistryError with Git's own message."""
    try:
        done = subprocess.run(["git", *arguments], input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RegistryError("git is not installed", do="see: fpplm doctor") from None
    if done.returncode:
        message = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise RegistryError(f"git {arguments[0]} failed", got=message[-400:], do="see Git's message, then run again")
    return done.stdout.rstrip("\n")


def try_git(*arguments: str) -> str | None:
    """What Git prints, as `git` does; None if it fails, is not installed, or there is no repository."""
    try:
        return git(*arguments)
    except RegistryError:
        return None


def is_repository() -> bool:
    return try_git("rev-parse", "--git-dir") is not None


def has_remote() -> bool:
    return REMOTE in git("remote").split()
