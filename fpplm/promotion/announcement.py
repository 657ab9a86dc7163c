"""How a retraining is announced: its page and Prefect's artifacts, a notification, a line on the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from prefect.blocks.core import Block

from fpplm.pipeline.paths import REPORTS
from fpplm.promotion import history
from fpplm.promotion.history import Run, RunSummary, Verdict
from fpplm.report.prefect import publish_run
from fpplm_core.files import write_record


def publish(run: Run, verdict: Verdict, drift: float) -> None:
    """Writes reports/run.json and the page of this run, and Prefect's artifacts of it; `drift` as in params.yaml."""
    summary = history.summarise(run, verdict, drift)
    write_record(REPORTS / "run.json", summary)
    publish_run(markdown(summary))


def markdown(summary: RunSummary) -> str:
    """A run as Prefect shows it."""
    since = f"since {summary.before}" if summary.before else "this is the first run"
    verdict = Verdict(summary.verdict, summary.reasons, version=summary.version)
    changes = [f"| {c['kind']} | {c['name']} | {c['before']} | {c['after']} |" for c in summary.changes]
    stages = [
        f"| {name} | {'ran' if summary.ran.get(name) else 'unchanged'} | {seconds} |"
        for name, seconds in summary.seconds.items()
    ]
    return "\n".join(
        [
            f"## {verdict.state} {summary.version or ''}",
            *(f"- {reason}" for reason in summary.reasons),
            f"\n## Changes, {since}\n\n| | | before | after |\n| --- | --- | --- | --- |",
            *changes,
            *(f"\nData: {line}" for line in summary.drift),
            "\n## Stages\n\n| stage | | seconds |\n| --- | --- | --- |",
            *stages,
        ]
    )


def notify(verdict: Verdict, block_name: str | None) -> None:
    """Sends a verdict to a Prefect notification block; where that fails, the run does not."""
    if block_name is None or verdict.verdict == "unchanged":
        return
    title = f"fpplm {Path.cwd().name}: {verdict.state} {verdict.version or ''}".strip()
    try:
        block: Any = Block.load(block_name)
        block.notify(body="\n".join(verdict.reasons), subject=title)
    except Exception as error:  # whatever a block raises, the run has already ended well or not
        print(f"warning: {block_name} cannot be reached: {error}", file=sys.stderr, flush=True)


def verdict_line(verdict: Verdict, promote: bool) -> str:
    """The verdict in a line, and what to do with it."""
    reason = verdict.reasons[0]
    if verdict.version:
        return f"verdict  {verdict.version} is in production: {reason}"
    advice = "; fpplm retrain --promote registers it" if verdict.verdict == "promote" and not promote else ""
    return f"verdict  {verdict.verdict}: {reason}{advice}"
