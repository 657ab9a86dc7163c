"""Prefect's artifacts and notifications of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from fpplm.pipeline.paths import BUNDLE, METRICS
from fpplm.report.page import render
from fpplm_core.files import read_json


def publish_run(markdown: str) -> None:
    """Renders the page of the last run, and shows it in Prefect with this text."""
    page = render().resolve().as_uri()
    with ignore_server_errors():
        create_markdown_artifact(markdown, key="retraining", description="what changed, and the verdict")
        create_link_artifact(page, key="report", link_text="report.html")


@contextmanager
def ignore_server_errors() -> Iterator[None]:
    """Makes a warning of whatever fails inside: a run does not fail because Prefect's server is away."""
    try:
        yield
    except Exception as error:  # whatever the connection raises
        print(f"warning: Prefect's server cannot be reached: {error}", file=sys.stderr, flush=True)


def publish_stage(name: str) -> None:
    """Shows a finished stage in Prefect: tables of the check, the scores and the gate, a link to the bundle."""
    if name == "check":
        checks = read_json(METRICS / "check.json")["checks"]
        rows = [{"check": key, **{k: row[k] for k in ("severity", "found", "rows")}} for key, row in checks.items()]
        create_table_artifact(key="check", table=rows, description="data check")
    elif name == "evaluate":
        scores = read_json(METRICS / "evaluate.json")
        keys = ("f1", "f1_low", "f1_high", "precision", "recall", "macro_f1", "coverage")
        rows = [{"split": split, **{key: row[key] for key in keys}} for split, row in scores.items()]
        create_table_artifact(key="scores", table=rows, description="span scores, seqeval strict")
    elif name == "gate":
        create_table_artifact(key="gate", table=read_json(METRICS / "gate.json")["rules"], description="gate")
    elif name == "verify":
        create_link_artifact(key="bundle", link=BUNDLE.resolve().as_uri(), link_text="bundle")
