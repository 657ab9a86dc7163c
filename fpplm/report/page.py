"""report: what the last run left, as one self-contained HTML page, whatever stage the run came to.

Here the numbers are found and arranged; report.html, the template, says how they look.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fpplm.pipeline.paths import BUNDLE, METRICS, PREDICTIONS, REPORTS
from fpplm.pipeline.stage import run
from fpplm.report.charts import training_charts
from fpplm.report.tagging_errors import classify_errors, pick_examples
from fpplm_core import __version__
from fpplm_core.evaluation.metrics import MISSED, SPURIOUS
from fpplm_core.files import read_json, write_text
from fpplm_core.settings import read_yaml

STAGES = ("check", "train", "evaluate", "gate", "verify")
PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"


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
