"""Why a stage would run again: what differs from its last recorded run.

dvc.lock records the parameters, and digests of everything else; DVC's cache holds the fingerprint for each digest.
So the answer is the same in a clone and after a killed run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpplm.pipeline import inputs
from fpplm.pipeline.changes import Change, changed, dotted
from fpplm.pipeline.code import CODE
from fpplm.pipeline.dvc import open_repo
from fpplm.pipeline.fingerprint import Fingerprint, differences, fingerprint
from fpplm_core.errors import DataError

if TYPE_CHECKING:
    from dvc.dependency import Dependency
    from dvc.output import Output
    from dvc.repo import Repo
    from dvc.stage import Stage

    from fpplm_core.params import Params

HASHED = ("code", "file", "input")  # hashes mean nothing to a reader
UNKNOWN = "the record is not in DVC's cache; run `dvc fetch` to see what changed in it"


def why(stage: str, params: Params) -> dict[str, list[Change]]:
    """What changed since the recorded run of a stage, and of the stages before it, those nearest to the data first.

    The kind of a change is code, file, package, python, parameter, input, data, output or command, or run: the stage
    never ran.

    Raises:
        DataError: dvc.yaml has no such stage.
        ParamsError: DVC cannot read the project.
    """
    with open_repo() as repo:
        names = [one.name for one in repo.index.stages if one.cmd]
        if stage not in names:
            raise DataError("no such stage", where="dvc.yaml", got=repr(stage), do=f"name one of {', '.join(names)}")
        chain = [one for one in repo.stage.collect(stage, with_deps=True) if one.cmd and not one.always_changed]
        return {one.name: list(_changes(repo, one, params)) for one in chain}


def source_changes(stage: str, params: Params) -> list[Change]:
    """What is new for a stage regardless of outputs in the workspace: code, packages, parameters, data, other inputs.

    An output of an earlier stage is new if dvc.lock has another hash for it there than here, as after a run that
    failed in between; it may be missing or of another commit, since a clone lacks outputs. Raises as `why` does.
    """
    found = [change for changes in why(stage, params).values() for change in changes]
    with open_repo() as repo:
        made = {str(out.def_path): out.hash_info for one in repo.index.stages if one.cmd for out in one.outs}
        taken = [
            (str(dependency.def_path), dependency.hash_info)
            for one in repo.stage.collect(stage, with_deps=True)
            for dependency in one.deps
            if Path(dependency.def_path).parent not in (CODE, inputs.INPUTS)  # `why` compares their contents
        ]
    sources = [one for one in found if one.kind != "output" and one.name.partition(" (")[0] not in made]
    return sources + [Change("data", path) for path, known in taken if path in made and known != made[path]]


def lines(stage: str, changes: dict[str, list[Change]]) -> list[str]:
    """The changes as text: the stage's own, then those of the stages before it."""
    before = {name: found for name, found in changes.items() if name != stage}
    others = [f"{name}, which runs before it: {line(one)}" for name, found in before.items() for one in found]
    return [*map(line, changes.get(stage, [])), *others] or ["nothing changed"]


def line(change: Change) -> str:
    """For instance `package: torch 2.9.1 → 2.13.0`."""
    said, old, new = f"{change.kind}: {change.name}", change.before, change.after
    if old is None and new is None:
        return said
    if change.kind in HASHED:
        return said + (" (new)" if old is None else " (gone)" if new is None else "")
    return f"{said} {old or 'none'} → {new or 'none'}"


def _changes(repo: Repo, stage: Stage, params: Params) -> Iterator[Change]:
    from dvc.dependency import ParamsDependency

    if not any(one.hash_info for one in [*stage.deps, *stage.outs]):
        yield Change("run", "it has no recorded run")
        return
    if stage.cmd_changed:
        yield Change("command", str(stage.cmd))
    for dependency in stage.deps:
        path = Path(dependency.def_path)
        if isinstance(dependency, ParamsDependency):
            recorded, read = dotted(dependency.hash_info.value or {}), dotted(dependency.read_params())
            yield from changed("parameter", recorded, read, partial(json.dumps, ensure_ascii=False))
        elif path.parent == CODE:
            if not dependency.hash_info:
                yield Change("code", "no fingerprint was recorded")
                continue
            now = fingerprint(f"tasks.{path.stem}")
            old = _recorded(repo, dependency, now.to_json())
            if old is None:
                yield Change("code", UNKNOWN)
            else:
                yield from differences(Fingerprint.from_json(old), now)
        elif path.parent == inputs.INPUTS:
            if not dependency.hash_info:
                yield Change("input", f"no {path.stem} was recorded")
                continue
            parts = inputs.INPUT[path.stem](params)
            old = _recorded(repo, dependency, inputs.input_json(parts))
            yield from _input(path.stem, old, parts)
        else:
            yield from _on_disk("data", dependency)
    for output in stage.outs:
        yield from _on_disk("output", output)


def _on_disk(kind: str, output: Output) -> Iterator[Change]:
    for status in output.status().values():  # modified, deleted, new, not in cache
        yield Change(kind, str(output.def_path) + ("" if status == "modified" else f" ({status})"))


def _input(name: str, old: Any, new: inputs.Parts) -> Iterator[Change]:
    if old is None:
        yield Change("input", f"{name}: {UNKNOWN}")
        return
    for one in changed("input", {} if old == "none" else old, new):
        yield replace(one, name=f"{name}/{one.name}")


def _recorded(repo: Repo, dependency: Dependency, now: str) -> Any:
    """The content that a dependency had when its stage was recorded; None if DVC's cache lacks it."""
    md5 = dependency.hash_info.value or ""
    if md5 == hashlib.md5(now.encode(), usedforsecurity=False).hexdigest():
        return json.loads(now)
    try:
        return json.loads(Path(repo.cache.local.oid_to_path(md5)).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
