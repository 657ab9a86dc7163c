"""Versions of models and which one is in production, as GTO's tags in Git, with the bytes in DVC.

A promotion is atomic, even if it is interrupted: the bytes go to the DVC remote, then a commit is made, and only
then branch and tags move together, by one `git push --atomic` (by one transaction of references where there is no
remote repository). `gto show`, `gto history` and `dvc artifacts get --stage production` read the same tags.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fpplm.pipeline.paths import BUNDLE, METRICS, SCRATCH
from fpplm.pipeline.start import PRODUCTION
from fpplm.registry.copies import copy_of
from fpplm.registry.git import REMOTE, git, has_remote, identity, read_committed, save, try_git
from fpplm.registry.repository import RECORDS, artifact, fetch, require_promotable
from fpplm_core.errors import DataError, FpplmError, RegistryError
from fpplm_core.escaping import printable
from fpplm_core.serving.bundle import open_bundle

SUBJECT = "%(contents:subject)"
COPIES = SCRATCH / "versions"
SHOWN = 12  # characters of a commit in the name of a copy


class Tag(NamedTuple):
    """An annotated tag; `date` is ISO 8601, `commit` what it points to, `who` its author, `message` its first line."""

    name: str
    date: str
    commit: str
    who: str
    message: str


class Assignment(NamedTuple):
    """A change of production: from `before` (None at first) to `version`; `why` is empty if no reason was given."""

    date: str
    who: str
    before: str | None
    version: str
    why: str


def _tags(pattern: str) -> list[Tag]:
    """The annotated tags whose names match, ordered by time as in GTO and DVC, which ignore others too."""
    form = "%00".join(("%(refname:strip=2)", "%(taggerdate:iso-strict)", "%(*objectname)", "%(taggername)", SUBJECT))
    found = git("for-each-ref", "--sort=taggerdate", f"--format={form}", f"refs/tags/{artifact()}{pattern}")
    tags = [Tag(*line.split("\0")) for line in found.split("\n") if line]
    return [tag for tag in tags if tag.date]  # a lightweight tag has none


def versions() -> dict[str, Tag]:
    """The registered versions by name, oldest first."""
    from gto.versions import SemVer

    found = {tag.name.removeprefix(f"{artifact()}@"): tag for tag in _tags("@v*")}
    return {name: tag for name, tag in found.items() if SemVer.is_valid(name)}  # GTO marks a deregistered one by "!"


def commit_of(version: str) -> str:
    """The commit of a version; GTO can also assign an unregistered commit."""
    tag = versions().get(version)
    return tag.commit if tag else version


def metrics_at(commit: str, stage: str) -> Any:
    """The content of metrics/STAGE.json at a commit. Raises RegistryError if the commit has none."""
    return json.loads(read_committed(commit, f"{METRICS}/{stage}.json"))


def assignments() -> list[Assignment]:
    """The changes of production, the last one last."""
    names = {tag.commit: name for name, tag in versions().items()}
    found: list[Assignment] = []
    for tag in _tags(f"#{PRODUCTION}#*"):
        before, version = found[-1].version if found else None, names.get(tag.commit, tag.commit)
        _, _, why = tag.message.partition(f" into {PRODUCTION}: ")
        found.append(Assignment(tag.date, tag.who, before, version, why))
    return found


def last_assignment() -> str | None:
    """The name of the tag that changed production last, which is another one after each promotion and rollback."""
    found = _tags(f"#{PRODUCTION}#*")
    return found[-1].name if found else None


def in_production() -> str | None:
    """The version that holds the stage, None if there is none."""
    history = assignments()
    return history[-1].version if history else None


def previous() -> str:
    """The version that was in production before the current one. Raises DataError if there was none."""
    names = [change.version for change in assignments()]
    for name in reversed(names):
        if name != names[-1]:
            return name
    raise DataError("no earlier version to return to", got=", ".join(names) or "no version", do="see: fpplm models")


def resolve(name: str) -> str:
    """The full name of a version: `v1` and `1` mean v1.0.0, `production` the version that is there.

    Raises DataError if there is no such version.
    """
    if name == PRODUCTION:
        if current := in_production():
            return current
        raise DataError("no version is in production", do="see: fpplm models")
    known = versions()
    wanted = name if name.startswith("v") else f"v{name}"
    for candidate in (wanted, f"{wanted}.0", f"{wanted}.0.0"):
        if candidate in known:
            return candidate
    raise DataError("no such version", got=name, do=f"known: {', '.join(known) or 'none yet'} (see: fpplm models)")


def bundle_of(version: str) -> Path:
    """The bundle of a version, from DVC's cache or remote, with every file verified.

    Raises:
        RegistryError: DVC cannot fetch it.
        BundleError: what DVC has is damaged.
    """
    commit = commit_of(version)
    folder = COPIES / f"{version}-{commit[:SHOWN]}"  # a tag may have been made anew, for another model
    if folder.exists():
        try:
            return open_bundle(folder, allow_links=True).path
        except FpplmError:
            shutil.rmtree(folder)  # damaged since then: fetch it again
    partial = folder.with_name(
        f"{folder.name}.{os.getpid()}.partial"
    )  # a rollback may fetch it while a retraining does
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    open_bundle(copy_of(BUNDLE, version, commit, partial), allow_links=True)
    if folder.exists():  # another process was faster
        shutil.rmtree(partial)
        return folder
    return partial.rename(folder)


def manifest_of(version: str) -> dict[str, Any]:
    return open_bundle(bundle_of(version), allow_links=True).manifest


def promote(message: str, data: Sequence[str], check: Callable[[], None] = lambda: None) -> str:
    """Registers this folder's model as the next version and puts it into production; returns the version.

    `data` are the paths in Git that identify the training data. `check` raises an error if what is about to be
    committed is not what the model was made of. If interrupted at any point, `promote` can be run again.

    Raises:
        RegistryError: it failed, and nothing in production has changed.
    """
    message = one_line(message)
    require_promotable()
    fetch()
    push_bytes()
    check()  # last of all: the user may edit files while the bytes are pushed
    save([*RECORDS, *data], f"Model: {message}")
    commit = git("rev-parse", "HEAD")
    known = {tag.commit: name for name, tag in versions().items()}
    version = known.get(commit) or _next_version()
    if version == in_production():
        return version
    registration = [] if commit in known else [(f"{artifact()}@{version}", f"{version}: {message}")]
    _move([*registration, _assignment(version, message)], commit, with_branch=True)
    return version


def assign(version: str, why: str = "") -> None:
    """Puts a registered version into production. Raises RegistryError, BundleError."""
    bundle_of(version)  # a version that cannot be fetched, or is damaged, must not be assigned
    _move([_assignment(version, one_line(why))], commit_of(version), with_branch=False)


def push_bytes(
    targets: Sequence[str] | None = None, do: str = "production has not changed; the same command continues here"
) -> None:
    """Pushes the data of .dvc files, or all that DVC tracks, to the DVC remote where there is one.

    Raises RegistryError, which says what to `do`.
    """
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            if repo.config["core"].get("remote"):
                repo.push(targets)
    except Exception as error:  # each storage library has its own
        raise RegistryError("dvc push failed", got=str(error), do=do) from None


def _move(tags: Sequence[tuple[str, str]], commit: str, with_branch: bool) -> None:
    """Creates these tags (name, message) at a commit atomically: here, and in the remote repository if there is one.

    Raises:
        RegistryError: no tag was created, for instance because others have pushed since; or the remote does not answer.
    """
    times = git("for-each-ref", "--format=%(taggerdate:unix)", "refs/tags").split()
    moment = max([int(time.time()), *(int(one) + 1 for one in times)])
    objects = {name: _tag_object(name, message, commit, moment + n) for n, (name, message) in enumerate(tags)}
    if has_remote():
        branch = [f"{commit}:refs/heads/{git('branch', '--show-current')}"] if with_branch else []
        pushed = (f"{made}:refs/tags/{name}" for name, made in objects.items())
        try:
            git("push", "--quiet", "--atomic", REMOTE, *branch, *pushed)
        except RegistryError as error:  # the connection may have broken after the remote had accepted
            there = try_git("ls-remote", "--tags", REMOTE)
            if there is None:
                do = "it may have arrived: run fpplm models when the remote is back, before you run this again"
                raise error.replace(do=do) from None
            if not {f"{made}\trefs/tags/{name}" for name, made in objects.items()} <= set(there.splitlines()):
                raise
    git("update-ref", "--stdin", stdin="".join(f"create refs/tags/{name} {made}\n" for name, made in objects.items()))


def _tag_object(name: str, message: str, commit: str, moment: int) -> str:
    """Creates an annotated tag object without a reference, and returns its hash.

    GTO and DVC take the assignment with the latest tag time, in whole seconds, as the last. So each tag gets a later
    time than all before it, even within a second or after the clock was set back. `gto assign` would use the clock.
    """
    who = git("var", "GIT_COMMITTER_IDENT", options=identity()).rsplit(" ", 2)[0]
    return git("mktag", stdin=f"object {commit}\ntype commit\ntag {name}\ntagger {who} {moment} +0000\n\n{message}\n")


def _next_version() -> str:
    from gto.versions import SemVer

    names = [name.rpartition("@")[2] for name in _names("@v*")]
    known = [SemVer(name) for name in names if SemVer.is_valid(name)]
    return str(max(known).bump_major().version) if known else "v1.0.0"


def _names(pattern: str) -> list[str]:
    """The names of all tags that match, lightweight ones included: no new tag can have one of them."""
    return git("for-each-ref", "--format=%(refname:strip=2)", f"refs/tags/{artifact()}{pattern}").splitlines()


def _assignment(version: str, why: str) -> tuple[str, str]:
    """The tag (name, message) that assigns a version; GTO numbers all stage tags of an artifact consecutively."""
    numbers = (name.rsplit("#", 1)[1] for name in _names("#*"))
    number = max((int(one) for one in numbers if one.isdigit()), default=0) + 1
    return f"{artifact()}#{PRODUCTION}#{number}", f"{version} into {PRODUCTION}" + (f": {why}" if why else "")


def one_line(text: str) -> str:
    """The text as the message of a tag or commit, which Git and GTO show as it is."""
    return printable(" ".join(text.split()))
