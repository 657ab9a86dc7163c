"""Why a stage would run again: what differs from its last recorded run.

dvc.lock records the parameters, and digests of everything else; DVC's cache holds the fingerprint for each digest.
So the answer is the same in a clone and after a killed run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fpplm.pipeline import inputs
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


class Change(NamedTuple):
    """A difference between the recorded and the current state of a stage.

    `kind` is code, file, package, python, parameter, input, data, output or command, or run: the stage never ran.
    """

    stage: str
    kind: str
    name: str
    old: str | None = None
    new: str | None = None

    def __str__(self) -> str:
        """For instance `package: torch 2.9.1 → 2.13.0`."""
        if self.old is None and self.new is None:
            return f"{self.kind}: {self.name}"
        if self.kind in HASHED:
            note = " (new)" if self.old is None else " (gone)" if self.new is None else ""
            return f"{self.kind}: {self.name}{note}"
        return f"{self.kind}: {self.name} {self.old or 'none'} → {self.new or 'none'}"


def why(stage: str, params: Params) -> list[Change]:
    """What changed since the recorded run of a stage, and of the stages before it, those nearest to the data first.

    Raises:
        DataError: dvc.yaml has no such stage.
        ParamsError: DVC cannot read the project.
    """
    with open_repo() as repo:
        names = [one.name for one in repo.index.stages if one.cmd]
        if stage not in names:
            raise DataError("no such stage", where="dvc.yaml", got=repr(stage), do=f"name one of {', '.join(names)}")
        chain = [one for one in repo.stage.collect(stage, with_deps=True) if one.cmd and not one.always_changed]
        return [change for one in chain for change in _changes(repo, one, params)]


def source_changes(stage: str, params: Params) -> list[Change]:
    """What is new for a stage whatever lies in the workspace: code, packages, parameters, data, other inputs.

    An output of an earlier stage is new if dvc.lock has another hash for it there than here, as after a run that
    failed in between; it may be missing or of another commit, since a clone lacks outputs. Raises as `why` does.
    """
    found = why(stage, params)
    with open_repo() as repo:
        made = {str(out.def_path): out.hash_info for one in repo.index.stages if one.cmd for out in one.outs}
        taken = [
            (one.name, str(dependency.def_path), dependency.hash_info)
            for one in repo.stage.collect(stage, with_deps=True)
            for dependency in one.deps
            if Path(dependency.def_path).parent not in (CODE, inputs.INPUTS)  # `why` compares their contents
        ]
    sources = [one for one in found if one.kind != "output" and one.name.partition(" (")[0] not in made]
    return sources + [Change(one, "data", path) for one, path, known in taken if path in made and known != made[path]]


def lines(stage: str, changes: list[Change]) -> list[str]:
    """The changes as text: the stage's own, then those of the stages before it."""
    own = [str(change) for change in changes if change.stage == stage]
    before = [f"{change.stage}, which runs before it: {change}" for change in changes if change.stage != stage]
    return own + before or ["nothing changed"]


def _changes(repo: Repo, stage: Stage, params: Params) -> Iterator[Change]:
    from dvc.dependency import ParamsDependency

    name = stage.name
    if not any(one.hash_info for one in [*stage.deps, *stage.outs]):
        yield Change(name, "run", "it has no recorded run")
        return
    if stage.cmd_changed:
        yield Change(name, "command", str(stage.cmd))
    for dependency in stage.deps:
        path = Path(dependency.def_path)
        if isinstance(dependency, ParamsDependency):
            yield from _parameters(name, dependency)
        elif path.parent == CODE:
            if not dependency.hash_info:
                yield Change(name, "code", "no fingerprint was recorded")
                continue
            now = fingerprint(f"tasks.{path.stem}")
            old = _recorded(repo, dependency, now.to_json())
            if old is None:
                yield Change(name, "code", UNKNOWN)
            else:
                yield from (Change(name, *row) for row in differences(Fingerprint.from_json(old), now))
        elif path.parent == inputs.INPUTS:
            parts = inputs.INPUT[path.stem](params)
            old = _recorded(repo, dependency, inputs.input_json(parts))
            yield from _input(name, path.stem, old, parts)
        else:
            yield from _on_disk(name, "data", dependency)
    for output in stage.outs:
        yield from _on_disk(name, "output", output)


def _on_disk(stage: str, kind: str, output: Output) -> Iterator[Change]:
    for status in output.status().values():  # modified, deleted, new, not in cache
        yield Change(stage, kind, str(output.def_path) + ("" if status == "modified" else f" ({status})"))


def _parameters(stage: str, dependency: Dependency) -> Iterator[Change]:
    old, new = _leaves(dependency.hash_info.value or {}), _leaves(dependency.read_params())
    for key in sorted(old.keys() | new.keys()):
        if (key in old) != (key in new) or old.get(key) != new.get(key):
            values = [json.dumps(side[key], ensure_ascii=False) if key in side else None for side in (old, new)]
            yield Change(stage, "parameter", key, *values)


def _leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted name."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


def _input(stage: str, name: str, old: Any, new: inputs.Parts) -> Iterator[Change]:
    if old is None:
        yield Change(stage, "input", f"{name}: {UNKNOWN}")
        return
    before: inputs.Parts = {} if old == "none" else old
    for part in sorted(before.keys() | new.keys()):
        if before.get(part) != new.get(part):
            yield Change(stage, "input", f"{name}/{part}", before.get(part), new.get(part))


def _recorded(repo: Repo, dependency: Dependency, now: str) -> Any:
    """The content that a dependency had when its stage was recorded; None if DVC's cache lacks it."""
    md5 = dependency.hash_info.value or ""
    if md5 == hashlib.md5(now.encode(), usedforsecurity=False).hexdigest():
        return json.loads(now)
    try:
        return json.loads(Path(repo.cache.local.oid_to_path(md5)).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
