"""The data check's findings in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fpplm_core.escaping import printable
from fpplm_core.quality.checks import BY_NAME
from fpplm_core.quality.report import CheckReport, CheckResult


def show(report: CheckReport) -> None:
    """Prints a table of the checks that found something, the first rows of each with advice, and how many are clean."""
    console = Console()
    found = {name: result for name, result in report.checks.items() if result.found}
    table = Table(title="data check", title_justify="left")
    for column in ("check", "severity", "found", "of rows"):
        table.add_column(column, justify="left" if column in ("check", "severity") else "right")
    for name, result in found.items():
        style = {"error": "bold red", "warning": "yellow"}[result.severity] if result.failed else "dim"
        table.add_row(Text(printable(name)), result.severity, str(result.found), str(result.rows), style=style)
    if found:
        console.print(table)
    for line in findings(report.checks, shown=5):
        console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)
    console.print(f"{len(report.checks) - len(found)} of {len(report.checks)} checks found nothing")


def findings(checks: Mapping[str, CheckResult], shown: int) -> Iterator[str]:
    """Lines for the first rows that each check found, the number of further rows, and the advice; all printable."""
    for name, result in checks.items():
        examples = result.examples[:shown]
        yield from (printable(f"{result.severity} {name}: {example}") for example in examples)
        if result.found > len(examples):
            yield printable(f"  … and {result.found - len(examples)} more rows of {name}")
        if result.found and name in BY_NAME:
            yield f"  → {BY_NAME[name].advice}"
