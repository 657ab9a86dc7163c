"""Renders the last run as one self-contained HTML page, whatever stage the run reached.

`data` finds and arranges the numbers; the template report.html determines their look.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from fpplm.checks.page import environment
from fpplm.pipeline import paths, stage
from fpplm.report.data import ReportData
from fpplm_core import __version__
from fpplm_core.evaluation.scores import CONFIDENCE
from fpplm_core.files import write_text


def main() -> None:
    print(render())


def render(root: Path = Path()) -> Path:
    """Writes reports/report.html under `root` from the files there, and returns its path."""
    pages = environment(Path(__file__).parent)
    pages.filters |= {"score": "{:.3f}".format, "count": "{:,}".format, "json": partial(json.dumps, ensure_ascii=False)}
    template, data = pages.get_template("report.html"), ReportData.of(root)
    stages = {**vars(data.results), "states": data.results.states}
    constants = {"confidence": CONFIDENCE, "version": __version__, "now": datetime.now(UTC)}
    path = root / paths.REPORTS / "report.html"
    write_text(path, template.render(vars(data) | stages | constants) + "\n")
    return path


if __name__ == "__main__":
    stage.run(main)
