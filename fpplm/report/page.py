"""Renders the last run, or the trends of all runs, as one self-contained HTML page, whatever stage a run reached.

`data` finds and arranges the numbers; `templates/` determines their look and, with scripts, draws charts and browses
errors. The page allows its own scripts alone, each by its hash, and no request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fpplm.pipeline import paths
from fpplm.report.data import ReportData
from fpplm.report.run import TrendPoint
from fpplm.terminal.pages import environment
from fpplm_core import __version__
from fpplm_core.evaluation.metrics import CONFIDENCE
from fpplm_core.files import write_text

HERE = Path(__file__).parent
# Observable Plot 0.6.17 and D3 7.9.2, as npm has them; a browser runs them only with these hashes.
LIBRARIES = {
    "vendor/d3.min.js": "sha256-kSERCY6plQOm9JZzYdK73J2/WM+cZ4yOJ+WwLRoH8ME=",
    "vendor/plot.umd.min.js": "sha256-Q1gIZGd0B3fdeI1rJ6lc69uu/dUMcwowYBFwc71xNMs=",
}
STYLES = ("templates/page.css", "templates/sections.css")
LICENCES = ("vendor/d3.LICENSE", "vendor/plot.LICENSE")


def render(root: Path = Path()) -> Path:
    """Writes reports/report.html under `root` from the files there, and returns its path."""
    data = ReportData.of(root)
    path = root / paths.REPORTS / "report.html"
    stages = {**vars(data.results), "states": data.results.states}
    write_page(path, "report.html", ("templates/charts.js", "templates/errors.js"), **vars(data) | stages)
    return path


def render_trend(trend: Sequence[TrendPoint], path: Path) -> None:
    """Writes the trends over these models to a separate page."""
    write_page(path, "runs.html", ("templates/charts.js",), trend=trend)


def write_page(path: Path, template: str, scripts: Sequence[str], **values: Any) -> None:
    """Fills a template; the page has the libraries and these scripts."""
    pages = environment(HERE / "templates")
    pages.filters |= {"score": "{:.3f}".format, "count": "{:,}".format, "json": partial(json.dumps, ensure_ascii=False)}
    pages.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # six bytes a letter otherwise
    pages.globals["zip"] = zip
    sources = [Markup((HERE / name).read_text(encoding="utf-8")) for name in (*LIBRARIES, *scripts)]
    constants = {
        "confidence": CONFIDENCE,
        "version": __version__,
        "now": datetime.now(UTC),
        "style": Markup("\n".join((HERE / name).read_text(encoding="utf-8") for name in STYLES)),
        "scripts": sources,
        "hashes": [*LIBRARIES.values(), *map(hash_of, sources[len(LIBRARIES) :])],
        "licences": [(HERE / name).read_text(encoding="utf-8") for name in LICENCES],
    }
    write_text(path, pages.get_template(template).render(values | constants) + "\n")


def hash_of(script: str) -> str:
    """The hash of an inline script as a Content Security Policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
