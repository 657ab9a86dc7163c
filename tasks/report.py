"""report: what the last run left, as one self-contained HTML page, whatever stage the run came to.

Here the numbers are found and arranged; report.html, the template, says how they look.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fpplm_core import __version__
from fpplm_core.labels import Span
from fpplm_core.metrics import MISSED, SPURIOUS
from fpplm_core.params import read_yaml
from tasks import BUNDLE, METRICS, PREDICTIONS, REPORTS, read_json, run, write_text
from tasks.charts import training_charts

STAGES = ("check", "train", "evaluate", "gate", "verify")
PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
ERROR_KINDS = ("wrong type", "wrong borders", "spurious", "missed")
EXAMPLES = 7  # sentences of each kind of error


class Error(NamedTuple):
    """`kind` is one of ERROR_KINDS; a spurious span has no gold one, a missed one no predicted one."""

    kind: str
    gold: Span | None
    predicted: Span | None


def main() -> None:
    print(render())


def render(root: Path = Path()) -> Path:
    """Writes reports/report.html under `root` from the files there, and returns its path."""
    loader = FileSystemLoader(Path(__file__).parent)
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters |= {"score": "{:.3f}".format, "count": "{:,}".format, "json": partial(json.dumps, ensure_ascii=False)}
    path = root / REPORTS / "report.html"
    write_text(path, pages.get_template("report.html").render(facts(root)) + "\n")
    return path


def facts(root: Path) -> dict[str, Any]:
    """All that the template shows; what has not run is None or empty."""
    results, manifest = load_results(root), read_if_there(root / BUNDLE / "manifest.json")
    if results["verify"] and manifest and manifest["model_sha256"] != results["train"]["model_sha256"]:
        results["verify"] = None  # of the model before
    comparison = read_if_there(root / REPORTS / "comparison.json")
    states = {stage: judge(stage, result) for stage, result in results.items()}
    bundled = manifest if results["verify"] else None
    findings = read_if_there(root / REPORTS / "training" / "findings.json") if results["train"] else None
    settings, predictions = root / "params.yaml", root / PREDICTIONS / "test.jsonl"
    rows = read_lines(predictions) if results["evaluate"] and predictions.exists() else None
    return {
        **results,
        "states": states,
        "error_counts": Counter(error.kind for row in rows or () for error in classify_errors(row)),
        "examples": None if rows is None else pick_examples(rows),
        "charts": training_charts(root / REPORTS / "training") if states["check"] == PASSED else [],
        "coverage": coverage(findings, results["train"]["steps"]) if results["train"] else [],
        "measurements": measurements(findings),
        "timeline": timeline(findings),
        "matrix": heat_map(results["evaluate"]["test"]["confusion"]) if results["evaluate"] else None,
        "graphs": list(graph_rows(results["verify"], read_if_there(root / REPORTS / "timings" / "verify.json"))),
        "parameters": read_yaml(settings) if settings.exists() else {},
        "bundled": bundled,
        "older_bundle": None if bundled else manifest,
        "run": read_if_there(root / REPORTS / "run.json"),
        "comparison": comparison if comparison and manifest and comparison["candidate"] == manifest["digest"] else None,
        "data_docs": (root / REPORTS / "data_docs" / "index.html").exists(),
        "version": __version__,
        "now": datetime.now(UTC),
    }


def load_results(root: Path) -> dict[str, Any]:
    """The metrics of each stage up to the first that has not run or said no: what lies beyond is an earlier run's."""
    results: dict[str, Any] = dict.fromkeys(STAGES)
    for stage in STAGES:
        results[stage] = read_if_there(root / METRICS / f"{stage}.json")
        if judge(stage, results[stage]) != PASSED:
            break
    return results


def judge(stage: str, result: Mapping[str, Any] | None) -> str:
    """The state of a stage; one that gives no verdict has passed where it has a result."""
    if result is None:
        return NOT_RUN
    refused = (
        (stage == "check" and result["errors"] > 0)
        or (stage == "gate" and not result["passed"])
        or (stage == "verify" and "fp32" in result["refused"])
    )
    return FAILED if refused else PASSED


def read_if_there(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def read_lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def classify_errors(row: Mapping[str, Any]) -> list[Error]:
    """One error for each wrong predicted span of a sentence, and one for each gold span that no prediction touches.

    So spurious spans and those of wrong type or borders are together the false positives.
    """
    gold, predicted = ([Span(*span) for span in row[key]] for key in ("gold", "predicted"))
    errors = []
    for span in predicted:
        near = max((g for g in gold if shared(g, span)), key=lambda g: shared(g, span), default=None)
        if near is None:
            errors.append(Error("spurious", None, span))
        elif near != span:
            errors.append(Error("wrong type" if near[:2] == span[:2] else "wrong borders", near, span))
    return errors + [Error("missed", g, None) for g in gold if not any(shared(g, span) for span in predicted)]


def shared(one: Span, other: Span) -> int:
    """The number of words in both."""
    return max(0, min(one.end, other.end) - max(one.start, other.start))


def pick_examples(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """By kind of error some sentences with their `errors` of that kind, spread over all rows, no sentence twice."""
    wrong = [(row, errors) for row in rows if (errors := classify_errors(row))]
    shown: set[int] = set()
    examples: dict[str, list[dict[str, Any]]] = {}
    for kind in ERROR_KINDS:
        having = [n for n, (_, errors) in enumerate(wrong) if n not in shown and kind in {e.kind for e in errors}]
        number = min(EXAMPLES, len(having))
        picked = [having[place * len(having) // number] for place in range(number)]
        shown.update(picked)
        sentences = [(wrong[n][0], [e for e in wrong[n][1] if e.kind == kind]) for n in picked]
        examples[kind] = [{**row, "errors": errors, "cells": mark_words(row)} for row, errors in sentences]
    return examples


def mark_words(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each word of a sentence with the gold and the predicted span that it lies in, None where in none.

    `room` is by how many characters the name of a span that begins here is longer than the span's other words.
    """
    cells = [{"word": word, "gold": None, "predicted": None, "room": 0} for word in row["words"]]
    for key in ("gold", "predicted"):
        for span in (Span(*values) for values in row[key]):
            first, *others = cells[span.start : span.end]
            first["room"] = max(first["room"], len(span.type) - sum(1 + len(cell["word"]) for cell in others))
            for cell in (first, *others):
                cell[key] = span
    return cells


def heat_map(confusion: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """The full matrix: its columns, and rows of (gold type, total, cells); a cell is (count, share of the row)."""
    types = sorted({kind for row in (confusion, *confusion.values()) for kind in row} - {MISSED, SPURIOUS})
    rows = []
    for gold in (*types, SPURIOUS):
        counts = [confusion.get(gold, {}).get(kind, 0) for kind in (*types, MISSED)]
        rows.append((gold, sum(counts), [(count, count / max(1, sum(counts))) for count in counts]))
    return {"columns": [*types, MISSED], "rows": rows}


def graph_rows(verified: Mapping[str, Any] | None, timings: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """One row a graph and device: its verdict and size, and its `speed` where that was measured."""
    speeds = {f"{row['variant']} on {row['device']}": row for row in timings["runs"]} if timings else {}
    if verified is None:
        return
    for name, verdict in verified["variants"].items():
        variant, device = name.split(" on ")
        kept = not {variant, "fp32"} & set(verified["refused"])  # without fp32 there is no bundle
        row = {"variant": variant, "device": device, "kept": kept, **verdict}
        yield row | {"bytes": verified["bytes"][variant], "speed": speeds.get(name)}


def coverage(findings: Mapping[str, Any] | None, steps: int) -> list[dict[str, Any]]:
    """A row for each group of weights: how far it moved and, where they were opened in turn, when, as a share."""
    if findings is None:
        return []
    opened = {row["group"]: row for row in findings.get("fuzzy_regions", {}).get("coverage", [])}
    rows = [{**row, **opened.get(row["group"], {})} for row in findings["movement"]]
    return [row | {"opened": row["opened_at_step"] / steps} if "opened_at_step" in row else row for row in rows]


def timeline(findings: Mapping[str, Any] | None) -> list[tuple[str, str, float, float]]:
    """(technique, phase, begin, end) as shares of training, in the order in which they begin; empty ones left out."""
    phases = (findings or {}).get("phases", {})
    rows = [
        (name, phase, *span) for name, every in phases.items() for phase, span in every.items() if span[0] < span[1]
    ]
    return sorted(rows, key=lambda row: row[2:])


def measurements(findings: Mapping[str, Any] | None) -> list[tuple[str, str, float]]:
    """(technique, what, number) of all plain numbers among the findings, one level of grouping taken apart."""
    rows = []
    for technique, found in (findings or {}).items():
        for name, value in found.items() if isinstance(found, dict) else ():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            rows += [(technique, f"{name} {key}".strip(), v) for key, v in inner if isinstance(v, int | float)]
    return rows


if __name__ == "__main__":
    run(main)
