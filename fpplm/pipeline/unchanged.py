"""Checks that a stage's inputs did not change while it ran.

DVC computes the hashes that it records after a stage has ended (treeverse/dvc#11058): a file edited during the run
would stand in dvc.lock as if the stage had used it. Therefore a stage whose inputs changed fails, and records nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

from fpplm.pipeline.changes import first_names
from fpplm.pipeline.code import CODE, check_code
from fpplm.pipeline.paths import PARAMS
from fpplm_core.errors import InputsChanged
from fpplm_core.settings import read_yaml


@contextmanager
def unchanged_inputs(address: str | None) -> Iterator[None]:
    """Compares code and inputs of a stage of ./dvc.yaml before and after; does nothing for None, outside DVC.

    `address` is the value of DVC_STAGE: the stage's name, after `path/dvc.yaml:` if DVC was started elsewhere.
    The code is that of build/code/NAME.json, if the stage depends on it. An error of the stage itself takes precedence.

    Raises:
        InputsChanged: a file, a parameter or the code has changed since the start.
    """
    if address is None:
        yield
        return
    name = address.rpartition(":")[2]
    stage = read_yaml("dvc.yaml")["stages"][name]
    has_code = str(CODE / f"{name}.json") in stage.get("deps", [])
    if has_code:
        check_code(name)
    before = inputs(stage)
    yield
    after = inputs(stage)
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    if changed:
        raise InputsChanged(
            "changed while the stage ran",
            where=first_names(changed),
            do="nothing was recorded; run again: it starts from the new inputs",
        )
    if has_code:
        check_code(name)


def inputs(stage: dict[str, Any]) -> dict[str, Any]:
    """What a stage declares: the value of each section of params.yaml, and (size, mtime in ns, inode) of each file.

    A file that was only touched counts as changed: its earlier content is gone, and hashing everything beforehand
    would take as long as some stages.
    """
    settings = read_yaml(PARAMS)
    found = {f"params.yaml: {key}": value_of(key, settings) for key in stage.get("params", [])}
    for dependency in stage.get("deps", []):
        for file in files(filled(dependency, settings)):
            try:
                status = file.stat()
            except FileNotFoundError:
                continue
            found[str(file)] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return found


def filled(text: str, settings: Any) -> str:
    """Replaces ${data.path} and the like by the values in params.yaml."""
    return re.sub(r"\$\{([\w.]+)\}", lambda match: str(value_of(match[1], settings)), text)


def value_of(key: str, settings: Any) -> Any:
    """The value of a dotted key; None if it is missing."""
    return reduce(lambda values, name: values.get(name) if isinstance(values, dict) else None, key.split("."), settings)


def files(dependency: str) -> list[Path]:
    """The file itself, or all files of a folder except those that .dvcignore hides from DVC, such as __pycache__."""
    path = Path(dependency)
    if not path.is_dir():
        return [path]
    found = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    rules = Path(".dvcignore")
    hidden = GitIgnoreSpec.from_lines(rules.read_text(encoding="utf-8").splitlines() if rules.exists() else [])
    return sorted(file for file in found if not hidden.match_file(file))
