"""Prefect's artifacts and notifications of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.blocks.core import Block

from fpplm.pipeline.paths import BUNDLE, METRICS, REPORTS
from fpplm.promotion import history
from fpplm.promotion.history import Run, Verdict
from fpplm.report.page import render
from fpplm_core.files import read_json, write_json


def show(run: Run, verdict: Verdict, drift: float) -> None:
    """The page of this run, and Prefect's artifacts of it; `drift` as in params.yaml."""
    found = history.summary(run, verdict, drift)
    write_json(REPORTS / "run.json", found)
    page = render().resolve().as_uri()
    with told():
        create_markdown_artifact(history.markdown(found), key="retraining", description="what changed, and the verdict")
        create_link_artifact(page, key="report", link_text="report.html")


@contextmanager
def told() -> Iterator[None]:
    """What Prefect's server is told: that it is away fails no run."""
    try:
        yield
    except Exception as error:  # whatever the connection raises
        print(f"warning: Prefect's server could not be told: {error}", file=sys.stderr, flush=True)


def tell(verdict: Verdict, notify: str | None) -> None:
    """Tells a notification block; that it cannot be told fails no run."""
    if notify is None or verdict.verdict == "unchanged":
        return
    title = f"fpplm {Path.cwd().name}: {history.state(verdict._asdict())} {verdict.version or ''}".strip()
    try:
        block: Any = Block.load(notify)
        block.notify(body="\n".join(verdict.reasons), subject=title)
    except Exception as error:  # whatever a block raises, the run has already ended well or not
        print(f"warning: {notify} cannot be told: {error}", file=sys.stderr, flush=True)


def publish(name: str) -> None:
    """What a finished stage shows in Prefect: tables of the check, the scores and the gate, a link to the bundle."""
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
