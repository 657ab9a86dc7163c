"""Hashes of files; the slow ones are cached between runs in .fpplm.

The cache may be lost or damaged at any time; its values are then computed again.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from fpplm.pipeline.paths import SCRATCH
from fpplm_core.files import file_sha256

CODE, FILES = "code.json", "hashes.json"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def recall(name: str) -> dict[str, Any]:
    """What `keep` stored under this name; empty if there is nothing readable."""
    try:
        stored = json.loads((SCRATCH / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def keep(name: str, values: dict[str, Any]) -> None:
    """Stores the values atomically; of two processes, the later one wins. A full disk is not an error here."""
    with suppress(OSError):
        SCRATCH.mkdir(exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=SCRATCH, prefix=name)
        try:
            with open(handle, "w", encoding="utf-8") as stream:  # noqa: PTH123
                json.dump(values, stream)
            os.replace(partial, SCRATCH / name)  # noqa: PTH105
        except OSError:
            Path(partial).unlink(missing_ok=True)


def hash_files(folder: Path) -> dict[str, str]:
    """The sha256 of each file directly in a folder, except hidden ones.

    A file is read once; afterwards, equal size, modification time and inode mean that it is the same.
    """
    known = recall(FILES)
    hashes, new = {}, {}
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or not file.is_file():
            continue
        status = file.stat()
        key = f"{file.resolve()} {status.st_size} {status.st_mtime_ns} {status.st_ino}"
        if not isinstance(known.get(key), str):
            new[key] = file_sha256(file)
        hashes[file.name] = new.get(key) or known[key]
    if new:
        keep(FILES, known | new)
    return hashes


class CodeHashes:
    """Hashes of files and versions of packages, each looked up once; slow ones are cached between runs."""

    def __init__(self) -> None:
        # The cache of another version of fpplm or Python is useless.
        self.made_by = hashlib.sha256(Path(__file__).read_bytes() + PYTHON.encode()).hexdigest()
        stored = recall(CODE)
        self.stored = stored if stored.get("made_by") == self.made_by else {}
        self.modules: dict[str, str] = dict(self.stored.get("modules", {}))
        self.seen: dict[Path, str] = {}
        self.files: dict[Path, dict[str, str]] = {}
        self.packages: dict[str, dict[str, str | None]] = {}
        # Installing, removing or replacing a package changes the modification time of its parent folder.
        folders = {Path(entry).resolve() for entry in sys.path} - {Path.cwd()}
        self.installed = {str(path): path.stat().st_mtime_ns for path in sorted(folders) if path.is_dir()}
        known = self.stored.get("distributions", {}) if self.stored.get("installed") == self.installed else {}
        self.distributions: dict[str, list[str]] = known or {
            name: sorted(set(found)) for name, found in metadata.packages_distributions().items()
        }

    def of_module(self, path: Path) -> str:
        if path not in self.seen:
            source = path.read_bytes()
            content = hashlib.sha256(source).hexdigest()
            if content not in self.modules:
                self.modules[content] = hash_source(source)
            self.seen[path] = self.modules[content]
        return self.seen[path]

    def beside(self, folder: Path, package: str) -> dict[str, str]:
        """The hashes of the files in a package's folder that are neither Python nor prose."""
        if folder not in self.files:
            self.files[folder] = {
                f"{package.replace('.', '/')}/{file.name}": file_sha256(file)
                for file in folder.iterdir()
                if file.is_file() and not file.name.startswith(".") and file.suffix not in (".py", ".pyc", ".md")
            }
        return self.files[folder]

    def versions(self, package: str) -> dict[str, str | None]:
        """The version of each distribution that provides an importable package."""
        if package not in self.packages:
            self.packages[package] = {name: version_of(name) for name in self.distributions.get(package, [package])}
        return self.packages[package]

    def keep(self) -> None:
        now = {
            "made_by": self.made_by,
            "modules": self.modules,
            "installed": self.installed,
            "distributions": self.distributions,
        }
        if now != self.stored:
            keep(CODE, now)


def version_of(distribution: str) -> str | None:
    """The installed version; None if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def hash_source(source: bytes) -> str:
    """The sha256 of the syntax tree, without positions and without bare strings such as docstrings.

    A file that uses `__doc__` keeps its strings.
    """
    tree = ast.parse(source)
    if b"__doc__" not in source:
        for node in ast.walk(tree):
            for body in (part for _, part in ast.iter_fields(node) if isinstance(part, list)):
                body[:] = [statement for statement in body if not _is_lone_string(statement)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_lone_string(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
