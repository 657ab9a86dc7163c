"""The data check's findings in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fpplm.terminal import tables
from fpplm.terminal.tables import Section
from fpplm_core.escaping import printable
from fpplm_core.quality.checks import BY_NAME
from fpplm_core.quality.report import CheckReport, CheckResult


def show(report: CheckReport) -> None:
    """Prints a table of the checks that found something, the first rows of each with advice, and how many are clean."""
    found = {name: result for name, result in report.checks.items() if result.found}
    if found:
        rows = [
            (name, f"{result.found:,}", f"{result.rows:,}", result.severity if result.failed else "tolerated")
            for name, result in found.items()
        ]
        tables.show(Section("data check", ("check", "found", "of rows", "severity"), rows))
    print(*findings(report.checks, shown=5), sep="\n")
    print(f"{len(report.checks) - len(found)} of {len(report.checks)} checks found nothing")


def findings(checks: Mapping[str, CheckResult], shown: int) -> Iterator[str]:
    """Lines for the first rows that each check found, the number of further rows, and the advice; all printable."""
    for name, result in checks.items():
        examples = result.examples[:shown]
        yield from (printable(f"{result.severity} {name}: {example}") for example in examples)
        if result.found > len(examples):
            yield printable(f"  … and {result.found - len(examples)} more rows of {name}")
        if result.found and name in BY_NAME:
            yield f"  → {BY_NAME[name].advice}"
