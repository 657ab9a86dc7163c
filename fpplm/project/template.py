"""The template of a project: the files that `fpplm init` copies and `fpplm update` brings up to date.

An installed fpplm has them in fpplm/template. A checkout is its own template, and the table of pyproject.toml that
fills fpplm/template in the wheel names its files.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import fpplm
import fpplm_core
from fpplm.pipeline.paths import PARAMS
from fpplm.project.overrides import set_values
from fpplm_core.files import file_sha256, read_json, write_json
from fpplm_core.params import Params
from fpplm_core.settings import read_yaml

INSTALLED = Path(fpplm.__file__).with_name("template")
CHECKOUT = Path(fpplm.__file__).parents[1]
LOCK = Path("template.lock")


@dataclass(frozen=True)
class TemplateLock:
    """The version of fpplm that a project's template comes from, and the sha256 of each template file by path."""

    fpplm: str
    files: dict[str, str]


def template_files() -> dict[str, Path]:
    """Every file of the template, by its path in a project."""
    if INSTALLED.is_dir():
        folder, tops = INSTALLED, sorted(INSTALLED.iterdir())
    else:
        wheel = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
        folder, tops = CHECKOUT, [CHECKOUT / name for name in wheel["targets"]["wheel"]["force-include"]]
    files = [file for top in tops for file in ([top] if top.is_file() else sorted(top.rglob("*")))]
    return {
        file.relative_to(folder).as_posix(): file
        for file in files
        if file.is_file() and "__pycache__" not in file.relative_to(folder).parts
    }


def template_lock() -> TemplateLock:
    """The content of template.lock in an up-to-date project."""
    return TemplateLock(fpplm_core.__version__, {name: file_sha256(file) for name, file in template_files().items()})


def read_lock() -> TemplateLock | None:
    """This project's template.lock; None if fpplm 0.1, which wrote none, made the project."""
    return TemplateLock(**read_json(LOCK)) if LOCK.exists() else None


def write_lock(lock: TemplateLock) -> None:
    write_json(LOCK, asdict(lock))


def copy_template(names: list[str]) -> None:
    """Copies these files of the template into the working directory, byte for byte."""
    files = template_files()
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[name], name)


def settings_here(overrides: list[str]) -> Params:
    """The settings of ./params.yaml, or else of a new project, with these overrides. Raises ParamsError."""
    source = PARAMS if os.path.lexists(PARAMS) else template_files()[str(PARAMS)]
    values = read_yaml(source)
    if not overrides or not isinstance(values, dict):
        return Params.parse(values, str(source))
    with TemporaryDirectory() as folder:
        copy = Path(folder) / PARAMS
        shutil.copyfile(source, copy)
        set_values(copy, overrides)
        return Params.parse(read_yaml(copy), str(source))
