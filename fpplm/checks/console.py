"""The data check's findings in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from fpplm_core.quality.checks import ADVICE


def show(verdict: dict[str, Any]) -> None:
    """A table of what was found, then the first rows of each with what to do, and how many checks found nothing."""
    console = Console()
    found = {name: row for name, row in verdict["checks"].items() if row["found"]}
    table = Table(title="data check", title_justify="left")
    for column in ("check", "severity", "found", "of rows"):
        table.add_column(column, justify="left" if column in ("check", "severity") else "right")
    for name, row in found.items():
        style = {"error": "bold red", "warning": "yellow"}[row["severity"]] if row["failed"] else "dim"
        table.add_row(name, row["severity"], str(row["found"]), str(row["rows"]), style=style)
    if found:
        console.print(table)
    for line in findings(verdict, shown=5):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(verdict['checks']) - len(found)} of {len(verdict['checks'])} checks found nothing")


def findings(verdict: Mapping[str, Any], shown: int) -> Iterator[str]:
    """A line for each of the first rows that a check has found, for how many more there are, and for what to do."""
    for name, row in verdict["checks"].items():
        examples = row["examples"][:shown]
        yield from (f"{row['severity']} {name}: {example}" for example in examples)
        if row["found"] > len(examples):
            yield f"  … and {row['found'] - len(examples)} more rows of {name}"
        if row["found"] and name in ADVICE:
            yield f"  → {ADVICE[name][1]}"
