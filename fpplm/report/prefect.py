"""Prefect's artifacts of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from fpplm.pipeline import paths
from fpplm.report.page import render
from fpplm.report.run import RunSummary, as_markdown
from fpplm.report.scores import both_f1
from fpplm_core.evaluation.gate import GateResult
from fpplm_core.evaluation.scores import Evaluation
from fpplm_core.files import read_json, read_record, write_record


@contextmanager
def ignore_server_errors() -> Iterator[None]:
    """Turns errors of Prefect's server into warnings: an unreachable server must not fail a run."""
    try:
        yield
    except Exception as error:  # connections raise many kinds of errors
        print(f"warning: Prefect's server cannot be reached: {error}", file=sys.stderr, flush=True)


def publish_run(summary: RunSummary) -> None:
    """Writes reports/run.json and the page, and publishes both."""
    write_record(paths.REPORTS / "run.json", summary)
    page = render().resolve().as_uri()
    text = as_markdown(summary, both_f1() if summary.model else "")  # without a model, metrics may be an earlier run's
    with ignore_server_errors():
        create_markdown_artifact(text, key="retraining", description="what changed, and the verdict")
        create_link_artifact(page, key="report", link_text="report.html")


def publish_stage(name: str) -> None:
    """Publishes the results of a finished stage: tables of check, scores and gate, a link to the bundle."""
    if name == "check":
        checks = read_json(paths.METRICS / "check.json")["checks"]
        rows = [{"check": key, **{k: row[k] for k in ("severity", "found", "rows")}} for key, row in checks.items()]
        create_table_artifact(key="check", table=rows, description="data check")
    elif name == "evaluate":
        scores = asdict(read_record(paths.METRICS / "evaluate.json", Evaluation))
        keys = ("f1", "f1_low", "f1_high", "precision", "recall", "macro_f1", "coverage")
        rows = [{"split": split, **{key: row[key] for key in keys}} for split, row in scores.items()]
        create_table_artifact(key="scores", table=rows, description="span scores of the trained model, seqeval strict")
    elif name == "gate":
        rules = asdict(read_record(paths.METRICS / "gate.json", GateResult))["rules"]
        create_table_artifact(key="gate", table=rules, description="gate")
    elif name == "verify":
        create_link_artifact(key="bundle", link=paths.BUNDLE.resolve().as_uri(), link_text="bundle")
