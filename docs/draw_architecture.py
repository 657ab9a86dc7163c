"""Draws the subpackages and their arrows into docs/architecture.md: `python docs/draw_architecture.py`.

An arrow means "imports". Arrows that follow from others are left out, so that the height of a subpackage shows what it
stands on. Subpackages, arrows and descriptions come from the code.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/architecture.md"
PACKAGES = ("flows", "tasks", "fpplm", "fpplm_core")
BEGIN, END = "<!-- drawn by docs/draw_architecture.py -->\n", "<!-- end of the drawing -->\n"

Arrows = dict[str, set[str]]


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text[: text.index(BEGIN)] + drawing() + text[text.index(END) + len(END) :], encoding="utf-8")


def drawing() -> str:
    """The part of the page that the code decides: a picture of the packages, and one of each large one."""
    sys.path.insert(0, str(ROOT))
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    parts = [BEGIN, picture(arrows(graph, set(PACKAGES)))]
    for package in ("fpplm_core", "fpplm"):
        subpackages = graph.find_children(package)
        parts += [f"\n### Packages of {package}\n\n", picture(arrows(graph, subpackages)), "\n", table(subpackages)]
    return "".join([*parts, END])


def arrows(graph: grimp.ImportGraph, subpackages: set[str]) -> Arrows:
    """Who imports whom, without what follows from other arrows."""
    direct = {
        one: {
            other
            for other in subpackages - {one}
            if graph.direct_import_exists(importer=one, imported=other, as_packages=True)
        }
        for one in subpackages
    }
    below = {subpackage: reached(direct, subpackage) for subpackage in subpackages}
    return {
        subpackage: {to for to in targets if not any(to in below[other] for other in targets - {to})}
        for subpackage, targets in direct.items()
    }


def reached(direct: Arrows, subpackage: str) -> set[str]:
    """All subpackages below a subpackage."""
    seen: set[str] = set()
    todo = list(direct[subpackage])
    while todo:
        if (name := todo.pop()) not in seen:
            seen.add(name)
            todo += direct[name]
    return seen


def picture(direct: Arrows) -> str:
    """A Mermaid flowchart."""
    names = {subpackage: subpackage.rpartition(".")[2] for subpackage in direct}
    lines = [f"    {names[subpackage]}" for subpackage in sorted(direct)]
    lines += [
        f"    {names[subpackage]} --> {names[to]}" for subpackage in sorted(direct) for to in sorted(direct[subpackage])
    ]
    return "```mermaid\nflowchart TD\n" + "\n".join(lines) + "\n```\n"


def table(subpackages: set[str]) -> str:
    rows = [f"| {subpackage.rpartition('.')[2]} | {description(subpackage)} |\n" for subpackage in sorted(subpackages)]
    return "| package | what it holds |\n| --- | --- |\n" + "".join(rows)


def description(module: str) -> str:
    """The first sentence of a module's docstring."""
    path = ROOT / Path(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).rstrip(".")


if __name__ == "__main__":
    main()
