"""The page of the data check: every check with its meaning, its advice and the rows that it found, as one HTML file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fpplm.terminal.pages import environment
from fpplm_core import __version__
from fpplm_core.files import write_text
from fpplm_core.quality.checks import BY_NAME
from fpplm_core.quality.report import CheckReport, CheckResult

PAGE = "index.html"


def write_page(folder: Path, report: CheckReport) -> None:
    """Writes index.html into a folder. It needs no other file, and nothing in it runs or is fetched."""

    def rank(item: tuple[str, CheckResult]) -> tuple[bool, bool, bool]:
        result = item[1]
        return not result.failed, not result.found, result.severity != "error"

    pages = environment(Path(__file__).parent)
    pages.filters["count"] = "{:,}".format
    values = {
        "report": report,
        "checks": sorted(report.checks.items(), key=rank),
        "known": BY_NAME,
        "version": __version__,
        "now": datetime.now(UTC),
    }
    write_text(folder / PAGE, pages.get_template("page.html").render(values) + "\n")
