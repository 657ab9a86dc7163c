"""Prefect's artifacts of a run: tables of what each stage found, and where the page is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prefect.artifacts import create_markdown_artifact

from fpplm.pipeline import paths
from fpplm.report.console import comparison_section, gate_section
from fpplm.report.data import record_if_there
from fpplm.report.page import render
from fpplm.report.run import PAGES, RunSummary, as_markdown
from fpplm.report.scores import both_f1
from fpplm.terminal.tables import Section, markdown_table
from fpplm_core.escaping import markdown
from fpplm_core.evaluation.gate import GateResult
from fpplm_core.evaluation.promotion import Comparison
from fpplm_core.evaluation.scores import Evaluation, SplitScores
from fpplm_core.export.verdicts import VerifyReport
from fpplm_core.files import read_json, read_record, write_record


@contextmanager
def ignore_server_errors() -> Iterator[None]:
    """Turns errors of Prefect's server into warnings: an unreachable server must not fail a run."""
    try:
        yield
    except Exception as error:  # connections raise many kinds of errors
        print(f"warning: Prefect's server cannot be reached: {error}", file=sys.stderr, flush=True)


def publish_run(summary: RunSummary) -> None:
    """Writes reports/run.json and the page, and publishes the summary, the comparison and where the page is."""
    write_record(paths.RUN, summary)
    page = render().resolve()
    text = as_markdown(summary, both_f1() if summary.model else "")  # without a model, metrics may be an earlier run's
    comparison = record_if_there(paths.COMPARISON, Comparison)
    with ignore_server_errors():
        create_markdown_artifact(text, key="retraining", description="what changed, and the verdict")
        if comparison and (comparison.candidate, comparison.incumbent) == (summary.model, summary.against):
            publish_table("comparison", comparison_section(f"compared with {comparison.incumbent}", comparison))
        link = f"[report.html]({os.environ[PAGES]}/{page.name})\n\n" if PAGES in os.environ else ""
        create_markdown_artifact(f"{link}{markdown(str(page))}", key="report", description="the run on one page")


def publish_stage(name: str) -> None:
    """Publishes what a finished stage found, as tables: data check, scores and scores by type, gate, graphs."""
    if name == "check":
        checks = read_json(paths.METRICS / "check.json")["checks"].items()
        rows = [(key, row["severity"], str(row["found"]), str(row["rows"])) for key, row in checks]
        publish_table("check", Section("data check", ("check", "severity", "found", "of rows"), rows))
    elif name == "evaluate":
        scores = vars(read_record(paths.METRICS / "evaluate.json", Evaluation))
        publish_table("scores", scores_section(scores))
        publish_table("types", types_section(scores))
        publish_table("slices", slices_section(scores))
    elif name == "gate":
        publish_table("gate", gate_section(read_record(paths.METRICS / "gate.json", GateResult)))
    elif name == "verify":
        report = read_record(paths.METRICS / "verify.json", VerifyReport)
        graphs = [
            (graph, f"{one.dev_f1:.4f}", f"{one.dev_f1_loss:.4f}", f"{one.max_logit_delta:.2g}", str(one.accepted))
            for graph, one in report.variants.items()
        ]
        head = ("graph", "dev F1", "loss", "max Δlogit", "kept")
        publish_table("graphs", Section(f"bundle {paths.BUNDLE.resolve()}", head, graphs))


def scores_section(scores: Mapping[str, SplitScores]) -> Section:
    keys = ("f1", "f1_low", "f1_high", "precision", "recall", "macro_f1", "coverage")
    rows = [(split, *(f"{getattr(row, key):.4f}" for key in keys)) for split, row in scores.items()]
    return Section("span scores of the trained model, seqeval strict", ("split", *keys), rows)


def types_section(scores: Mapping[str, SplitScores]) -> Section:
    rows = [
        (split, kind, *(f"{value:.4f}" for value in (one.f1, one.precision, one.recall)), str(one.support))
        for split, row in scores.items()
        for kind, one in row.types.items()
    ]
    head = ("split", "type", "F1", "precision", "recall", "support")
    return Section("scores of the trained model by type", head, rows)


def slices_section(scores: Mapping[str, SplitScores]) -> Section:
    rows = [
        (
            split,
            name,
            *(f"{value:.4f}" for value in (one.f1, one.f1_low, one.f1_high)),
            *map(str, (one.sentences, one.support)),
        )
        for split, row in scores.items()
        for name, one in row.slices.items()
    ]
    head = ("split", "slice", "F1", "low", "high", "sentences", "support")
    return Section("scores of the trained model by slice (slices.yaml)", head, rows)


def publish_table(key: str, section: Section) -> None:
    """A table as Markdown: Prefect renders the cells of its own table artifacts as Markdown too, and unescaped."""
    table = markdown_table(section.head, section.rows)
    create_markdown_artifact(table, key=key, description=markdown(section.title))
