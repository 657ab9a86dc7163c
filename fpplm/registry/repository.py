"""What a promotion needs of the Git repository, checked before any work: the folder's name, a branch, the remote."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

from fpplm.pipeline.changes import first_names
from fpplm.pipeline.paths import METRICS, PARAMS
from fpplm.registry.git import REMOTE, git, has_remote, is_repository, try_git
from fpplm.registry.lineage import code_of_stages
from fpplm.registry.sources import in_repository, uncommitted
from fpplm_core.errors import DataError, RegistryError

ARTIFACT = "tagger"  # in dvc.yaml
RECORDS = ("dvc.lock", str(METRICS), str(PARAMS))  # what a version's commit holds, besides its data
CONFIGURATION = ("flows", "dvc.yaml", ".dvc/config", "requirements.lock", "slices.yaml", "expectations.yaml")
UNFINISHED = {  # what Git keeps while an operation waits for the user
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}
LONGEST = 200  # bytes in a folder's name: with what a tag adds, it must be a file's name


def artifact() -> str:
    """The name of the model in tags, prefixed by the project's folder if that is part of a larger repository."""
    return artifact_of(git("rev-parse", "--show-prefix").rstrip("/"))


def artifact_of(folder: str) -> str:
    """The name of the model of a project in this folder of a repository, "" for the repository itself.

    Raises DataError if Git or GTO cannot have it in a tag.
    """
    if not folder:
        return ARTIFACT
    from gto.constants import tag_re

    name = f"{folder}={ARTIFACT}"
    tag = f"{name}@v1.0.0"
    is_short = max(len(part.encode()) for part in folder.split("/")) <= LONGEST
    is_tag = not name.startswith("-") and try_git("check-ref-format", f"refs/tags/{tag}") is not None
    if not (is_short and is_tag and tag_re.match(tag)):
        do = f"rename it: up to {LONGEST} ASCII letters, digits, - _ . (no - or . in front, no .., no .lock at the end)"
        raise DataError("tags of Git and GTO cannot have this folder's name", where=repr(folder), do=do)
    return name


def check_new_project(directory: Path) -> None:
    """Checks the repository in which a project is about to be created, if there is one.

    Raises:
        DataError: Git ignores the folder, or a model's tags cannot have its name.
        RegistryError: Git refuses to read the repository, or is in the middle of a merge or the like.
    """
    folder = directory.resolve()
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    with chdir(there):
        if not is_repository():
            return
        require_finished()
        top = Path(git("rev-parse", "--show-toplevel")).resolve()
        artifact_of("" if folder == top else folder.relative_to(top).as_posix())
        if try_git("check-ignore", "--", str(folder)):
            raise DataError("Git ignores this folder", where=str(directory), do="name another, or edit .gitignore")


def require_registry() -> None:
    """Raises RegistryError if there is no repository that Git can read, DataError as `artifact_of` does."""
    if not is_repository():
        do = "run: git init && git add . && git commit"
        raise RegistryError("no Git repository here", where=str(Path.cwd()), do=do)
    artifact()


def require_promotable() -> None:
    """Checks what a promotion of ./bundle needs of this repository, which takes about a second; changes nothing.

    Raises:
        RegistryError: Git is not ready to commit the records of a version on a branch.
        DataError: a model's tags cannot have this folder's name.
    """
    require_registry()
    require_finished()
    if not git("branch", "--show-current"):
        do = "run: git switch main (or another branch), then run again"
        raise RegistryError("no branch is checked out (detached HEAD)", where="Git", do=do)
    if ignored := try_git("check-ignore", "--", *RECORDS):
        do = "edit .gitignore: a version's commit holds them"
        raise RegistryError("Git ignores files of a version", where=", ".join(ignored.splitlines()), do=do)
    require_committed_code()
    require_store()


def require_finished() -> None:
    """Raises RegistryError in the middle of a merge, rebase or the like, where Git makes no commit of some paths."""
    paths = git("rev-parse", *(word for name in UNFINISHED for word in ("--git-path", name))).splitlines()
    do = "finish or abort it (git status says how), then run again"
    for path, operation in zip(paths, UNFINISHED.values(), strict=True):
        if Path(path).exists():
            raise RegistryError(f"a {operation} is in progress", where="Git", do=do)
    if conflicts := git("diff", "--name-only", "--diff-filter=U").splitlines():
        do = "resolve them, then: git add"
        raise RegistryError("unresolved merge conflicts", where="Git", got=first_names(conflicts), do=do)


def require_committed_code() -> None:
    """Raises RegistryError for code or configuration that differs from HEAD: nobody could reproduce such a version.

    params.yaml may differ, because it is committed with the version.
    """
    if changed := uncommitted([*in_repository(code_of_stages()), *map(Path, CONFIGURATION)]):
        got = first_names([str(path) for path in changed])
        raise RegistryError("uncommitted code", got=got, do="commit it, then run the command again")


def require_store() -> None:
    """Raises RegistryError if there is a remote repository, but no DVC remote from which others get a version."""
    from dvc.config import Config

    if has_remote() and not Config.from_cwd()["core"].get("remote"):
        do = "run: dvc remote default NAME, or dvc remote add -d NAME URL; then commit .dvc/config and run dvc push"
        raise RegistryError("no default DVC remote, so nobody could fetch the model", where=".dvc/config", do=do)


def require_remote() -> None:
    """Raises RegistryError if there is a remote that cannot be reached, is ahead, or gives no right to push.

    Only the push itself can tell what the remote's hooks and rules say.
    """
    if not has_remote():
        return
    try:
        branch = f"HEAD:refs/heads/{git('branch', '--show-current')}"
        git("push", "--dry-run", "--atomic", "--no-verify", "--quiet", REMOTE, branch)
    except RegistryError as error:
        is_behind = "[rejected]" in error.got
        do = "others have pushed: git pull --rebase, then run again" if is_behind else "see Git's message"
        raise RegistryError("cannot push", where=REMOTE, got=error.got, do=do) from None


def fetch() -> None:
    """Fetches the model's tags: the remote repository, not this folder, decides what is in production.

    Tags that only this folder has stay, even with Git's setting fetch.prune.
    """
    if has_remote():
        own = [f"refs/tags/{artifact()}{mark}*" for mark in "@#"]
        git("fetch", "--quiet", "--no-tags", "--no-prune", REMOTE, *(f"+{refs}:{refs}" for refs in own))
