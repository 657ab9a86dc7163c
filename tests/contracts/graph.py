"""What the repository's own files import, read from their source."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fpplm_core", "tasks", "flows")


def module_file(name: str) -> Path | None:
    """The file of a module of this repository, relative to its root; None for another's."""
    if name.split(".", maxsplit=1)[0] not in PACKAGES:
        return None
    path = Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / candidate).exists():
            return candidate
    return None


def imports(file: Path) -> set[str]:
    """The names of all modules that a file imports, anywhere in it; `from a import b` gives a and a.b."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def closure(file: Path) -> set[Path]:
    """The file and every file of this repository that it imports, directly or not, packages' own files included."""
    seen: set[Path] = set()
    todo = [file]
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        todo += [found for name in imports(current) if (found := module_file(name))]
        todo += [init for parent in current.parents if (ROOT / (init := parent / "__init__.py")).exists()]
    return seen
