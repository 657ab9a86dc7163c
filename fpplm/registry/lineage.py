"""The inputs and environment of a model, and how they differ between two models."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import fpplm_core
from fpplm.pipeline.changes import Change, dotted
from fpplm.pipeline.fingerprint import Fingerprint, fingerprints, modules_of, union
from fpplm.pipeline.inputs import data_files
from fpplm.pipeline.paths import METRICS, PARAMS
from fpplm.pipeline.start import start_facts, tracked_folder
from fpplm.registry.git import try_git
from fpplm.registry.sources import in_repository, last_commit, uncommitted
from fpplm_core.evaluation.scores import Evaluation
from fpplm_core.files import file_sha256, read_json, read_record
from fpplm_core.params import Params

MADE_FROM = (str(PARAMS), "dvc.yaml", "requirements.lock", "slices.yaml", "expectations.yaml")  # beside code and data
SCORES = ("f1", "f1_low", "f1_high", "precision", "recall", "types")
SHOWN = 12  # characters of a hash shown in a change


@dataclass(frozen=True)
class Lineage:
    """The inputs and environment of a run, under the same names as in a bundle's manifest.

    `data` maps files to sha256, `code` the modules that the stages import to hashes of their syntax trees. `start` has
    the version and the weights' digest of the model that the training started from; it is empty for a cold start.
    """

    commit: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    start: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    lock_sha256: str | None = None
    python: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, params: Params) -> Lineage:
        """The lineage of the project in this folder, in its current state. Raises DataError as `data_files`."""
        stages = code_of_stages()
        return replace(
            cls.of_environment(),
            code=stages.modules,
            packages={name: version for name, version in stages.packages.items() if version},
            commit=try_git("rev-parse", "HEAD"),
            parameters=params.model_dump(exclude={"promotion"}),  # no part of a model
            data={str(path): file_sha256(path) for path in data_files(params)},
            start=start_facts(params.model),
        )

    @classmethod
    def of_environment(cls) -> Lineage:
        """The lineage of the installed environment only."""
        lock = Path("requirements.lock")
        return cls(
            lock_sha256=file_sha256(lock) if lock.exists() else None,
            python=platform.python_version(),
            packages={"torch": metadata.version("torch")},
        )

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Lineage:
        """The lineage of a bundle, or of a run's facts; what an earlier version did not record is empty."""
        return cls(**{name: manifest[name] for name in cls.__dataclass_fields__ if manifest.get(name) is not None})

    def diff(self, after: Lineage) -> list[Change]:
        """How `after` differs from this: its parameters, data, start, packages, code and environment.

        Packages are compared if both have them, and code if both record it. A missing value is a dash.

        Minor versions of Python parse code to different syntax trees, so code is compared only under the same one.
        """
        sides = self, after
        changes = []
        comparable = self.code and after.code and _minor(self.python) == _minor(after.python)
        for kind in ("parameters", "data", "start", "packages", *(["code"] if comparable else [])):
            old, new = (dotted(getattr(side, kind)) for side in sides)
            names = old.keys() & new.keys() if kind == "packages" else old.keys() | new.keys()
            for name in sorted(names):
                if old.get(name) != new.get(name):
                    hashed = kind in ("data", "start", "code")
                    values = (_shown(side.get(name), whole=not hashed) for side in (old, new))
                    changes.append(Change(kind, name, *values))
        for name in ("commit", "lock_sha256", "python"):
            was, now = (getattr(side, name) for side in sides)
            if was != now:
                kind, whole = "code" if name == "commit" else "environment", name == "python"
                changes.append(Change(kind, name, _shown(was, whole), _shown(now, whole)))
        return changes


def manifest_facts(params: Params) -> dict[str, Any]:
    """The facts about the model in a bundle's manifest: its inputs and its scores, but no timestamps."""
    lineage, trained = asdict(Lineage.of(params)), read_json(METRICS / "train.json")
    scores = asdict(read_record(METRICS / "evaluate.json", Evaluation))
    paths = [*in_repository(code_of_stages()), *own_folders(params), *map(Path, MADE_FROM)]
    return {
        "fpplm": fpplm_core.__version__,
        "commit": last_commit(paths),
        "uncommitted_changes": bool(uncommitted(paths)),
        **{name: lineage[name] for name in ("parameters", "data", "start", "code", "lock_sha256")},
        "encoder_sha256": trained["encoder_sha256"],
        "model_sha256": trained["model_sha256"],
        "python": lineage["python"],
        "packages": lineage["packages"],
        "scores": {split: {key: row[key] for key in SCORES} for split, row in scores.items()},
    }


def own_folders(params: Params) -> list[Path]:
    """The folders of data, text and start that lie in this project: about others, Git refuses to say anything."""
    named = params.data.path, params.data.unlabelled, tracked_folder(params.model)
    folders = [Path(folder) for folder in named if folder]
    return [folder for folder in folders if folder.resolve().is_relative_to(Path.cwd())]


def code_of_stages() -> Fingerprint:
    """All code and packages of the project's stages."""
    return union(fingerprints(modules_of("tasks")).values())


def _minor(python: str | None) -> list[str]:
    return (python or "").split(".")[:2]


def _shown(value: Any, whole: bool) -> str:
    return "–" if value is None else str(value) if whole else str(value)[:SHOWN]
