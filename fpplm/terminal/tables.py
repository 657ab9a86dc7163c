"""What commands and stages show as tables under titles, in a terminal or as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from fpplm_core.escaping import markdown, printable

COLOURS = {"green": "pass", "yellow": "warning|hold", "bold red": "error|FAIL|reject"}
NUMBER = re.compile(r"[-+]?[0-9][0-9,.]*(e[-+][0-9]+)?")


class Section(NamedTuple):
    """Rows under a head. In a terminal, a `stacked` row has a line for each cell, the last one first.

    Without rows, a section is its title alone. `note` follows the rows.
    """

    title: str
    head: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()
    note: str = ""
    stacked: bool = False


def show(*sections: Section) -> None:
    """Prints sections; on a terminal, a verdict in the last column has its colour."""
    text = Text(as_text(sections))
    for style, verdicts in COLOURS.items():
        text.highlight_regex(rf"(?m)(?<=  )({verdicts})$", style)
    Console().print(text, soft_wrap=True)


def as_text(sections: Iterable[Section]) -> str:
    return "\n\n".join("\n".join(_text_lines(section)) for section in sections)


def _text_lines(section: Section) -> list[str]:
    lines = [printable(section.title)]
    if section.stacked:
        *names, _ = section.head
        for *cells, last in section.rows:
            lines += ["", last, *(f"  {name} {cell}" for name, cell in zip(names, cells, strict=True))]
        lines = list(map(printable, lines))
    elif section.rows:
        lines.append(table(section.head, section.rows))
    return [*lines, section.note] if section.note else lines


def as_markdown(sections: Iterable[Section]) -> str:
    return "\n\n".join("\n".join(_markdown_lines(section)) for section in sections)


def _markdown_lines(section: Section) -> list[str]:
    lines = [f"**{markdown(section.title)}**"]
    if section.rows:
        lines += ["", markdown_table(section.head, section.rows)]
    return [*lines, "", markdown(section.note)] if section.note else lines


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that shows its cells as they are, whatever is in them."""
    lines = [f"| {' | '.join(markdown(str(cell)) for cell in row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], f"|{' --- |' * len(head)}", *lines[1:]])


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Formats columns as wide as their content, numbers to the right.

    Nothing is cut or folded, because users grep and pipe these lines.
    """
    columns = [[printable(str(cell)) for cell in column] for column in zip(head, *rows, strict=True)]
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*map(_aligned, columns), strict=True))


def _aligned(column: Sequence[str]) -> list[str]:
    width, (_, *cells) = max(map(len, column)), column
    right = cells and all(map(NUMBER.fullmatch, cells))
    return [cell.rjust(width) if right else cell.ljust(width) for cell in column]
