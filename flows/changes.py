"""What a model is made of, and how two models differ: parameters, data, code, environment."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from flows import registry
from fpplm_core.params import Params
from fpplm_core.serving.bundle import sha256

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
        "commit": registry.git("rev-parse", "HEAD") if registry.is_repository() else None,
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
