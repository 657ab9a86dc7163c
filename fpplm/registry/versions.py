"""Which model is in production: versions and stages as GTO's tags in Git, bytes in DVC.

A promotion is one atomic step, whatever breaks it off: the bytes go to the DVC remote, then a commit is made, and only
then branch and tags move together, by one `git push --atomic` (by one transaction of references where there is no
remote repository). `gto show`, `gto history` and `dvc artifacts get --stage production` read the same tags.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fpplm.pipeline.paths import BUNDLE, METRICS, SCRATCH
from fpplm.registry.git import REMOTE, git, has_remote, try_git
from fpplm.registry.lineage import code_of_stages
from fpplm.registry.sources import in_repository, uncommitted
from fpplm_core.errors import DataError, FpplmError, RegistryError
from fpplm_core.serving.bundle import open_bundle

ARTIFACT = "tagger"  # in dvc.yaml
STAGE = "production"
COPIES = SCRATCH / "versions"
CONFIGURATION = ("dvc.yaml", "requirements.lock")  # beside code; params.yaml is committed with the version


class Tag(NamedTuple):
    """An annotated tag; `date` is ISO 8601, `commit` what it stands at, `message` its first line."""

    name: str
    date: str
    commit: str
    message: str


def artifact() -> str:
    """The name of the model in tags; with the project's folder, where that is a part of a larger repository."""
    folder = git("rev-parse", "--show-prefix").rstrip("/")
    return f"{folder}={ARTIFACT}" if folder else ARTIFACT


def fetch() -> None:
    """The model's tags as the remote repository has them: it, not this folder, says what is in production."""
    if has_remote():
        own = [f"refs/tags/{artifact()}{mark}*" for mark in "@#"]
        git("fetch", "--quiet", "--no-tags", REMOTE, *(f"+{refs}:{refs}" for refs in own))


def _tags(pattern: str) -> list[Tag]:
    """Those whose names match, in the order of time, as GTO and DVC take them."""
    form = "%(refname:strip=2)%09%(taggerdate:iso-strict)%09%(*objectname)%09%(contents:subject)"
    found = git("for-each-ref", "--sort=taggerdate", f"--format={form}", f"refs/tags/{artifact()}{pattern}")
    return [Tag(*line.split("\t", 3)) for line in found.splitlines()]


def versions() -> dict[str, Tag]:
    """The registered versions by name, oldest first."""
    found = {tag.name.removeprefix(f"{artifact()}@"): tag for tag in _tags("@v*")}
    return {name: tag for name, tag in found.items() if not name.endswith("!")}  # GTO's mark of one taken back


def commit_of(version: str) -> str:
    """Where a version stands; GTO can also assign a commit that is registered under no name."""
    tag = versions().get(version)
    return tag.commit if tag else version


def assignments() -> list[tuple[str, str]]:
    """(date, version) of each time that production changed, the present one last."""
    names = {tag.commit: name for name, tag in versions().items()}
    return [(tag.date, names.get(tag.commit, tag.commit)) for tag in _tags(f"#{STAGE}#*")]


def in_production() -> str | None:
    """The version that holds the stage, None if there is none."""
    history = assignments()
    return history[-1][1] if history else None


def previous() -> str:
    """The version that was in production before the present one. Raises DataError if there was none."""
    names = [name for _, name in assignments()]
    for name in reversed(names):
        if name != names[-1]:
            return name
    raise DataError("nothing to go back to", got=", ".join(names) or "no version", do="see: fpplm models")


def resolve(name: str) -> str:
    """The full name of a version: `v1` and `1` are v1.0.0. Raises DataError if there is no such."""
    known = versions()
    wanted = name if name.startswith("v") else f"v{name}"
    for candidate in (wanted, f"{wanted}.0", f"{wanted}.0.0"):
        if candidate in known:
            return candidate
    raise DataError("no such version", got=name, do=f"known: {', '.join(known) or 'none yet'} (see: fpplm models)")


def bundle_of(version: str) -> Path:
    """The bundle of a version, from DVC's cache or remote, every file as its manifest says.

    Raises:
        RegistryError: DVC cannot fetch it.
        BundleError: what DVC has is damaged.
    """
    from dvc.repo import Repo

    folder = COPIES / version
    if folder.exists():
        try:
            return open_bundle(folder).path
        except FpplmError:
            shutil.rmtree(folder)  # damaged since: fetched anew
    partial = folder.with_name(f"{version}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        top, path = git("rev-parse", "--show-toplevel"), git("rev-parse", "--show-prefix") + str(BUNDLE)
        Repo.get(top, path, out=str(partial), rev=commit_of(version))
    except Exception as error:  # each storage library has its own
        do = "the DVC remote must hold it (dvc remote list)"
        raise RegistryError("cannot fetch the bundle", where=version, got=str(error), do=do) from None
    open_bundle(partial)
    return partial.rename(folder)


def manifest_of(version: str) -> dict[str, Any]:
    return open_bundle(bundle_of(version)).manifest


def save(paths: Sequence[str], message: str) -> None:
    """Commits these paths alone, where they differ from HEAD."""
    ignored = (try_git("check-ignore", "--", *paths) or "").splitlines()
    there = [path for path in paths if Path(path).exists() and path not in ignored]
    git("add", "--", *there)
    if git("diff", "--cached", "--name-only", "--", *there):
        git(*_identity(), "commit", "--quiet", "--message", message, "--", *there)


def require_committed_code() -> None:
    """Raises RegistryError for code that differs from HEAD: a version without it could not be made again."""
    if changed := uncommitted([*in_repository(code_of_stages()), *map(Path, CONFIGURATION)]):
        got = ", ".join(map(str, changed[:5]))
        raise RegistryError("code that is not committed", got=got, do="commit it, then again")


def promote(message: str, data: Sequence[str]) -> str:
    """Registers what this folder holds as the next version and puts it into production; the version's name.

    `data` are the paths under Git that say which data it was trained on. It may be broken off and run again anywhere.

    Raises:
        RegistryError: nothing in production has changed.
    """
    require_committed_code()
    fetch()
    push_bytes()
    save(["dvc.lock", str(METRICS), "params.yaml", *data], f"Model: {message}")
    commit = git("rev-parse", "HEAD")
    known = {tag.commit: name for name, tag in versions().items()}
    version = known.get(commit) or _next_version()
    if version == in_production():
        return version
    registration = [] if commit in known else [(f"{artifact()}@{version}", f"{version}: {message}")]
    _move([*registration, _assignment(version)], commit, with_branch=True)
    return version


def assign(version: str) -> None:
    """Puts a registered version into production. Raises RegistryError, BundleError."""
    bundle_of(version)  # one that cannot be fetched, or is damaged, stays out
    _move([_assignment(version)], commit_of(version), with_branch=False)


def push_bytes() -> None:
    """All that dvc.lock names, to the DVC remote where there is one. Raises RegistryError."""
    from dvc.repo import Repo

    with Repo() as repo:
        if not repo.config["core"].get("remote"):
            return
        try:
            repo.push()
        except Exception as error:  # each storage library has its own
            do = "production is as it was; the same command goes on here"
            raise RegistryError("dvc push failed", got=str(error), do=do) from None


def _move(tags: Sequence[tuple[str, str]], commit: str, with_branch: bool) -> None:
    """Makes these tags (name, message) at a commit, all or none: in the remote repository where there is one, and here.

    Raises:
        RegistryError: nothing has moved, for instance because others have pushed since.
    """
    times = git("for-each-ref", "--format=%(taggerdate:unix)", "refs/tags").split()
    moment = max([int(time.time()), *(int(one) + 1 for one in times)])
    objects = {name: _tag_object(name, message, commit, moment + n) for n, (name, message) in enumerate(tags)}
    if has_remote():
        branch = [f"{commit}:refs/heads/{git('branch', '--show-current')}"] if with_branch else []
        git(
            "push",
            "--quiet",
            "--atomic",
            REMOTE,
            *branch,
            *(f"{made}:refs/tags/{name}" for name, made in objects.items()),
        )
        fetch()
    else:
        git(
            "update-ref",
            "--stdin",
            stdin="".join(f"create refs/tags/{name} {made}\n" for name, made in objects.items()),
        )


def _tag_object(name: str, message: str, commit: str, moment: int) -> str:
    """An annotated tag that no name leads to yet; its hash.

    GTO and DVC see by the tags' times, in whole seconds, which assignment is the last. So each is made later than all
    before it, also where two come in one second or the clock was set back. `gto assign` would take the clock's time.
    """
    who = git(*_identity(), "var", "GIT_COMMITTER_IDENT").rsplit(" ", 2)[0]
    return git("mktag", stdin=f"object {commit}\ntype commit\ntag {name}\ntagger {who} {moment} +0000\n\n{message}\n")


def _identity() -> list[str]:
    """A name to commit under where Git knows none, as on a machine that only runs jobs."""
    known = try_git("var", "GIT_COMMITTER_IDENT") is not None
    return [] if known else ["-c", "user.name=fpplm", "-c", "user.email=fpplm@localhost"]


def _next_version() -> str:
    from gto.versions import SemVer

    known = [SemVer(name) for name in versions()]
    return str(max(known).bump_major().version) if known else "v1.0.0"


def _assignment(version: str) -> tuple[str, str]:
    """GTO numbers all stage tags of an artifact in one row."""
    names = git("tag", "--list", f"{artifact()}#*").splitlines()
    numbers = (name.rsplit("#", 1)[1] for name in names)
    number = max((int(one) for one in numbers if one.isdigit()), default=0) + 1
    return f"{artifact()}#{STAGE}#{number}", f"{version} into {STAGE}"
