"""What a model is made of, and how two models differ in it."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import fpplm_core
from fpplm.pipeline.paths import METRICS
from fpplm.registry.git import git, is_repository
from fpplm_core.files import read_json
from fpplm_core.params import Params
from fpplm_core.serving.bundle import sha256

PACKAGES = ("torch", "transformers", "tokenizers", "onnx", "onnxscript", "numpy")
SOURCES = ("fpplm_core", "fpplm", "tasks", "data", "params.yaml", "dvc.yaml", "requirements.lock")


def lineage(settings: Params) -> dict[str, Any]:
    """What the model is a function of, and what it scored; nothing that a clock says."""
    files = sorted(p for p in Path(settings.data.path).rglob("*") if p.is_file())
    trained, scores = read_json(METRICS / "train.json"), read_json(METRICS / "evaluate.json")
    return {
        "fpplm": fpplm_core.__version__,
        "commit": git_answer("log", "-1", "--format=%H", "--", *SOURCES),
        "uncommitted_changes": bool(git_answer("status", "--porcelain", "--", *SOURCES)),
        "parameters": settings.model_dump(exclude={"promotion"}),
        "data": {str(path): sha256(path) for path in files},
        "lock_sha256": sha256(Path("requirements.lock")) if Path("requirements.lock").exists() else None,
        "encoder_sha256": trained["encoder_sha256"],
        "model_sha256": trained["model_sha256"],
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "scores": {
            split: {key: row[key] for key in ("f1", "f1_low", "f1_high", "precision", "recall", "types")}
            for split, row in scores.items()
        },
    }


def git_answer(*arguments: str) -> str | None:
    """What Git answers, or None where there is no Git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


SHORT = 12  # characters of a hash that are shown


class Change(NamedTuple):
    """`before` and `after` in words; empty where there is none."""

    kind: str
    name: str
    before: str
    after: str


def facts(settings: Params) -> dict[str, Any]:
    """What a run starts from, under the names that a bundle's manifest has for them."""
    files = sorted(p for p in Path(settings.data.path).rglob("*") if p.is_file())
    lock = Path("requirements.lock")
    return {
        "commit": git("rev-parse", "HEAD") if is_repository() else None,
        "parameters": settings.model_dump(exclude={"promotion"}),  # no part of a model
        "data": {str(path): sha256(path) for path in files},
        "lock_sha256": sha256(lock) if lock.exists() else None,
        "python": platform.python_version(),
        "packages": {"torch": metadata.version("torch")},
    }


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """How the second differs from the first, both as `facts` gives them, or manifests."""
    found = []
    for kind, names in (("parameters", True), ("data", False), ("packages", True)):
        old, new = (dict(_flat(side.get(kind) or {})) for side in (before, after))
        shared = old.keys() & new.keys() if kind == "packages" else old.keys() | new.keys()
        for name in sorted(shared):
            if old.get(name) != new.get(name):
                values = (_shown(side.get(name), names) for side in (old, new))
                found.append(Change(kind, name, *values))
    for name in ("commit", "lock_sha256", "python"):
        if before.get(name) != after.get(name):
            kind = "code" if name == "commit" else "environment"
            found.append(Change(kind, name, *(_shown(side.get(name), name == "python") for side in (before, after))))
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shown(value: Any, whole: bool) -> str:
    return "–" if value is None else str(value) if whole else str(value)[:SHORT]
