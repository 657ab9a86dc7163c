"""Git as the registry uses it."""

from __future__ import annotations

import subprocess

from fpplm_core.errors import RegistryError

REMOTE = "origin"


def git(*arguments: str, given: str | None = None) -> str:
    """What Git answers. Raises RegistryError with what it says."""
    done = subprocess.run(["git", *arguments], input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise RegistryError(f"git {arguments[0]} failed", got=said[-400:], do="see what Git says, then run again")
    return done.stdout.strip()


def is_repository() -> bool:
    return subprocess.run(["git", "rev-parse", "--git-dir"], capture_output=True, check=False).returncode == 0


def has_remote() -> bool:
    return REMOTE in git("remote").split()
