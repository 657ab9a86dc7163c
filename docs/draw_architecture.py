"""Draws the rooms and their arrows into docs/architecture.md: `python docs/draw_architecture.py`.

An arrow means "imports". Arrows that follow from others are left out, so that the height of a room shows what it stands
on. Rooms, arrows and descriptions come from the code.
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
    """The part of the page that the code decides: a picture of the packages, and one of the rooms of each large one."""
    sys.path.insert(0, str(ROOT))
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    parts = [BEGIN, picture(arrows(graph, set(PACKAGES)))]
    for package in ("fpplm_core", "fpplm"):
        rooms = graph.find_children(package)
        parts += [f"\n### Packages of {package}\n\n", picture(arrows(graph, rooms)), "\n", table(rooms)]
    return "".join([*parts, END])


def arrows(graph: grimp.ImportGraph, rooms: set[str]) -> Arrows:
    """Who imports whom, without what follows from other arrows."""
    direct = {
        one: {
            other
            for other in rooms - {one}
            if graph.direct_import_exists(importer=one, imported=other, as_packages=True)
        }
        for one in rooms
    }
    below = {room: reached(direct, room) for room in rooms}
    return {
        room: {to for to in targets if not any(to in below[other] for other in targets - {to})}
        for room, targets in direct.items()
    }


def reached(direct: Arrows, room: str) -> set[str]:
    """All rooms below a room."""
    seen: set[str] = set()
    todo = list(direct[room])
    while todo:
        if (name := todo.pop()) not in seen:
            seen.add(name)
            todo += direct[name]
    return seen


def picture(direct: Arrows) -> str:
    """A Mermaid flowchart."""
    names = {room: room.rpartition(".")[2] for room in direct}
    lines = [f"    {names[room]}" for room in sorted(direct)]
    lines += [f"    {names[room]} --> {names[to]}" for room in sorted(direct) for to in sorted(direct[room])]
    return "```mermaid\nflowchart TD\n" + "\n".join(lines) + "\n```\n"


def table(rooms: set[str]) -> str:
    rows = [f"| {room.rpartition('.')[2]} | {description(room)} |\n" for room in sorted(rooms)]
    return "| package | what it holds |\n| --- | --- |\n" + "".join(rows)


def description(module: str) -> str:
    """The first sentence of a module's docstring."""
    path = ROOT / Path(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).rstrip(".")


if __name__ == "__main__":
    main()
