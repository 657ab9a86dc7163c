"""docs/api.md lists what a project's copies of tasks/ and flows/ take from the installed packages."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import ROOT

PACKAGES = ("fpplm", "fpplm_core")
PROJECT = sorted([*ROOT.glob("tasks/*.py"), *ROOT.glob("flows/*.py")])
LISTED = re.findall(r"^\| `([\w.]+)` \| \S.* \|$", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imported(tree: ast.Module) -> dict[str, str]:
    """What a file imports from the packages: the full name of each, by its name in the file."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.asname or a.name: a.name for a in node.names if a.name.split(".")[0] in PACKAGES}
    return names


def names_used(source: str) -> set[str]:
    """The full names of what a file takes from the packages; of a module, what is read from it, or else the module."""
    tree = ast.parse(source)
    used = set()
    for name, full in imported(tree).items():
        read = {
            f"{full}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
        }
        used |= read if is_module(full) and read else {full}
    return used


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from fpplm.pipeline import paths, stage\nstage.run(paths.CORPUS)", {"paths.CORPUS", "stage.run"}),
        ("from fpplm.pipeline import parent as parent", {"parent"}),
        ("def f():\n    from fpplm.pipeline.paths import MODEL as M\n    return M.name", {"paths.MODEL"}),
        ("import numpy\nfrom prefect import flow\nfrom tasks import read", set()),
    ],
)
def test_names_are_found_however_they_are_imported(source, names):
    assert names_used(source) == {f"fpplm.pipeline.{name}" for name in names}


def test_the_page_lists_what_tasks_and_flows_use():
    used = {name for file in PROJECT for name in names_used(file.read_text(encoding="utf-8"))}
    assert len(PROJECT) > 10
    assert sorted(set(LISTED)) == sorted(LISTED), "listed twice"
    assert set(LISTED) - used == set(), "listed, but not used"
    assert used - set(LISTED) == set(), "used, but not listed"
