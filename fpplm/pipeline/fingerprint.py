"""The fingerprint of a module: everything in code and libraries that its result depends on.

It holds the modules that the module imports, directly or not; the files beside them, such as templates; the packages
that these modules import; and Python's version. Comments, docstrings, formatting and imports under TYPE_CHECKING do
not change it, because a module is hashed by its syntax tree.

The stage `environment` writes the fingerprint of every stage to build/code/STAGE.json, which is all that DVC sees
of the code. `.fpplm/code.json` remembers hashes by the content of a file.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grimp
from grimp.exceptions import SourceSyntaxError

from fpplm.pipeline.changes import Change, changed
from fpplm.pipeline.hashes import PYTHON, CodeHashes
from fpplm_core.errors import DataError, FpplmError

INSTALLED = ("fpplm_core", "fpplm")
# What a module imports by a name that it computes, as an expression of grimp (`*` is one part of a name).
BY_NAME = {
    "fpplm_core.data.formats": "fpplm_core.data.formats.*",
    "fpplm_core.training.techniques": "fpplm_core.training.techniques.*.settings",
    "fpplm_core.training.technique": "fpplm_core.training.techniques.*.technique",
}


@dataclass(frozen=True)
class Fingerprint:
    """`modules` and `files` map names to sha256, `packages` map distributions to versions (None: not installed).

    A package that is imported but not installed counts, because installing it can change what the code does.
    """

    python: str
    modules: dict[str, str]
    files: dict[str, str]
    packages: dict[str, str | None]

    def to_json(self) -> str:
        """The content of build/code/STAGE.json."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, values: Any) -> Fingerprint:
        """Raises DataError if the values are not a fingerprint, for instance one from another version of fpplm."""
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or values.keys() != names:
            raise DataError("not a fingerprint", where="build/code", do="run: dvc repro")
        return cls(**values)


def fingerprint(module: str) -> Fingerprint:
    """The fingerprint of one module, such as `tasks.train`.

    Raises:
        DataError: there is no such module.
        FpplmError: a file of these packages has a syntax error.
    """
    return fingerprints([module])[module]


def fingerprints(modules: Collection[str]) -> dict[str, Fingerprint]:
    """The fingerprints of several modules, at hardly more cost than one. Raises as `fingerprint` does."""
    with _project_on_path():
        graph = _graph({module.partition(".")[0] for module in modules})
        hashes = CodeHashes()
        made = {module: _fingerprint(graph, module, hashes) for module in modules}
        hashes.keep()
    return made


def modules_of(package: str) -> list[str]:
    """The modules directly in a package, such as the stages in `tasks`."""
    with _project_on_path():
        return sorted(_graph({package}).find_children(package))


def differences(old: Fingerprint, new: Fingerprint) -> list[Change]:
    """The differences; their kind is python, code, file or package.

    Python versions differ in their syntax trees, so modules are compared only under the same version.
    """
    if old.python != new.python:
        return [Change("python", "python", old.python, new.python), *changed("package", old.packages, new.packages)]
    return [
        *changed("code", old.modules, new.modules),
        *changed("file", old.files, new.files),
        *changed("package", old.packages, new.packages),
    ]


def union(codes: Iterable[Fingerprint]) -> Fingerprint:
    """The union of several fingerprints taken at the same time."""
    whole = Fingerprint(PYTHON, {}, {}, {})
    for code in codes:
        modules, files, packages = (
            whole.modules | code.modules,
            whole.files | code.files,
            whole.packages | code.packages,
        )
        whole = Fingerprint(code.python, modules, files, packages)
    return whole


def digest(codes: Iterable[Fingerprint]) -> str:
    """sha256 of the union: the key of what this code makes."""
    return hashlib.sha256(union(codes).to_json().encode()).hexdigest()


def sources(code: Fingerprint) -> list[Path]:
    """The files that a fingerprint was made from, as absolute paths."""
    with _project_on_path():
        modules = [path for name in code.modules if (path := _module_file(name))]
        files = [path for name in code.files if (path := _beside(name))]
    return sorted([*modules, *files])


@contextmanager
def _project_on_path() -> Iterator[None]:
    """Finds the project's own `tasks` and `flows`, in the working directory, before any installed ones."""
    before = sys.path.copy()
    sys.path.insert(0, str(Path.cwd()))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _graph(tops: set[str]) -> grimp.ImportGraph:
    """The import graph of our packages, of those with these names, and of the project's modules that they import."""
    try:
        graph = grimp.build_graph(
            *sorted({*INSTALLED, *tops}),
            include_external_packages=True,
            exclude_type_checking_imports=True,  # they never run
            cache_dir=None,  # grimp's own cache trusts modification times
        )
    except SourceSyntaxError as error:
        where = f"{error.filename}:{error.lineno}"
        raise FpplmError("Python cannot read this file", where=where, got=repr((error.text or "").strip())) from None
    except ValueError as error:  # a missing package
        raise DataError("a Python package is missing", where=str(Path.cwd()), got=str(error)) from None
    outside = {name for name in graph.modules if graph.is_module_squashed(name)}
    more = {name for name in outside if Path(name).is_dir() and _place(name) == Path.cwd() / name}
    return _graph(tops | more) if more else graph


def _fingerprint(graph: grimp.ImportGraph, module: str, hashes: CodeHashes) -> Fingerprint:
    if module not in graph.modules:
        raise DataError("no such module", where=str(Path.cwd()), got=module)
    closure = _closure(graph, module)
    outside = {name for name in closure if graph.is_module_squashed(name)} - sys.stdlib_module_names
    single = {name for name in outside if Path(f"{name}.py").is_file()}  # a module of the project outside any package
    external = outside - single
    own = {name: path for name in sorted(closure - external - sys.stdlib_module_names) if (path := _module_file(name))}
    folders = {
        path.parent: folder
        for name, path in own.items()
        if (folder := name if path.name == "__init__.py" else name.rpartition(".")[0])
    }
    return Fingerprint(
        PYTHON,
        {name: hashes.of_module(path) for name, path in own.items()},
        dict(sorted(entry for path, folder in folders.items() for entry in hashes.beside(path, folder).items())),
        dict(sorted(entry for name in external for entry in hashes.versions(name).items())),
    )


def _closure(graph: grimp.ImportGraph, module: str) -> set[str]:
    """The module, everything that it imports or loads by name, directly or not, and their parent packages."""
    found: set[str] = set()
    todo = {module}
    while todo:
        name = todo.pop()
        found.add(name)
        new = set(graph.find_modules_directly_imported_by(name))
        if not graph.is_module_squashed(name):
            new.add(name.rpartition(".")[0])
        if name in BY_NAME:
            new |= graph.find_matching_modules(BY_NAME[name])
        todo |= (new & graph.modules) - found
    return found


def _module_file(name: str) -> Path | None:
    """The file of one of our modules; None for a folder without __init__.py."""
    place = _place(name)
    if place is None:
        return None
    candidates = (place / "__init__.py", place.with_name(f"{place.name}.py"))
    return next((path for path in candidates if path.is_file()), None)


def _beside(name: str) -> Path | None:
    folder, _, file = name.rpartition("/")
    place = _place(folder.replace("/", "."))
    return place / file if place else None


def _place(name: str) -> Path | None:
    """The folder of a package, or the file of a module without `.py`, found without importing anything."""
    top, *rest = name.split(".")
    spec = find_spec(top)
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or [])
    return Path(folders[0]).joinpath(*rest) if folders else Path(str(spec.origin)).with_suffix("")
