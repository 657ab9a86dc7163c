"""What a command shows as tables under titles, in a terminal or as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fpplm_core.escaping import markdown, printable


class Section(NamedTuple):
    """Rows under a head. In a terminal, a `stacked` row has a line for each cell, the last one first.

    Without rows, a section is its title alone. `note` follows the rows.
    """

    title: str
    head: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()
    note: str = ""
    stacked: bool = False


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
        rows = (section.head, ("---",) * len(section.head), *section.rows)
        cells = ([cell if row is rows[1] else markdown(cell) for cell in row] for row in rows)
        lines += ["", *(f"| {' | '.join(row)} |" for row in cells)]
    return [*lines, "", markdown(section.note)] if section.note else lines


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Formats columns as wide as their content; nothing is truncated, because users grep and pipe these lines."""
    shown = [[printable(str(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[n]) for row in shown) for n in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in shown)
