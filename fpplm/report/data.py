"""Reads the results of the last run from a project's files, and arranges them for the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from fpplm.pipeline import paths
from fpplm.pipeline.timing import Timing, TimingReport
from fpplm.report.charts import Chart, training_charts
from fpplm.report.run import RunSummary
from fpplm.report.tagging_errors import ErrorExample, classify_errors, pick_examples
from fpplm_core.evaluation.gate import GateResult
from fpplm_core.evaluation.predictions import read_predictions
from fpplm_core.evaluation.promotion import Comparison
from fpplm_core.evaluation.scores import Evaluation
from fpplm_core.export.verdicts import VariantVerdict, VerifyReport
from fpplm_core.files import read_json
from fpplm_core.settings import read_yaml
from fpplm_core.tagging.schemes import MISSED, SPURIOUS

STAGES = ("check", "train", "evaluate", "gate", "verify")
PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
SOURCES = {  # hashes: the key in the manifest or in metrics/train.json, and its name on the page
    "commit": "commit",
    "fpplm": "fpplm",
    "encoder_sha256": "encoder sha256",
    "model_sha256": "model sha256",
    "lock_sha256": "requirements.lock sha256",
    "python": "python",
}

T = TypeVar("T")
Json = Mapping[str, Any]  # a file whose record class has heavy imports


@dataclass(frozen=True)
class StageResults:
    """The metrics of each stage up to the first that failed or did not run: later files are from an earlier run."""

    check: Json | None = None
    train: Json | None = None
    evaluate: Evaluation | None = None
    gate: GateResult | None = None
    verify: VerifyReport | None = None

    @property
    def states(self) -> dict[str, str]:
        """Passed, failed or not run, by stage; a stage without a verdict has passed if it has a result."""
        failed = {
            "check": self.check is not None and self.check["errors"] > 0,
            "gate": self.gate is not None and not self.gate.passed,
            "verify": self.verify is not None and "fp32" in self.verify.refused,
        }
        return {
            stage: NOT_RUN if getattr(self, stage) is None else FAILED if failed.get(stage) else PASSED
            for stage in STAGES
        }


@dataclass(frozen=True)
class HeatMap:
    """The confusion matrix: its columns, and rows of (gold type, total, cells); a cell is (count, share of the row)."""

    columns: list[str]
    rows: list[tuple[str, int, list[tuple[int, float]]]]


@dataclass(frozen=True)
class GraphRow:
    """A graph on a device: whether the bundle has it, its verdict and size, and its speed if measured."""

    variant: str
    device: str
    kept: bool
    verdict: VariantVerdict
    bytes: int
    speed: Timing | None


@dataclass(frozen=True)
class GroupRow:
    """A group of weights: how far it moved and, if groups were opened in turn, when and how fuzzy."""

    group: str
    relative_change: float
    opened_at_step: int = 0
    opened: float | None = None
    fuzziness_first: float | None = None
    fuzziness: float | None = None


@dataclass(frozen=True)
class ReportData:
    """Everything that the template shows; results of stages that did not run are None or empty.

    `timeline` has (technique, phase, begin, end) as shares of training, `measurements` (technique, name, number).
    `bundled` is the manifest of this run's bundle, `older_bundle` that of an earlier run's.
    """

    results: StageResults
    error_counts: Counter[str]
    examples: dict[str, list[ErrorExample]] | None
    charts: list[Chart]
    coverage: list[GroupRow]
    measurements: list[tuple[str, str, float]]
    timeline: list[tuple[str, str, float, float]]
    matrix: HeatMap | None
    graphs: list[GraphRow]
    parameters: Json
    sources: dict[str, str]
    bundled: Json | None
    older_bundle: Json | None
    run: RunSummary | None
    comparison: Comparison | None
    data_docs: bool

    @classmethod
    def of(cls, root: Path) -> ReportData:
        """The report data of the project in `root`."""
        results, manifest = load_results(root), if_there(root / paths.BUNDLE / "manifest.json")
        reports, train = root / paths.REPORTS, results.train
        bundled = manifest if results.verify else None
        findings = (if_there(reports / "training" / "findings.json") or {}) if train else {}
        predictions, settings = root / paths.PREDICTIONS / "test.jsonl", root / "params.yaml"
        sentences = read_predictions(predictions) if results.evaluate and predictions.exists() else None
        comparison = record_if_there(reports / "comparison.json", Comparison)
        source = bundled or train or {}
        return cls(
            results=results,
            error_counts=Counter(error.kind for s in sentences or () for error in classify_errors(s)),
            examples=None if sentences is None else pick_examples(sentences),
            charts=training_charts(reports / "training") if results.states["check"] == PASSED else [],
            coverage=coverage(findings, train["steps"]) if train else [],
            measurements=measurements(findings),
            timeline=timeline(findings),
            matrix=heat_map(results.evaluate.test.confusion) if results.evaluate else None,
            graphs=graph_rows(results.verify, record_if_there(reports / "timings" / "verify.json", TimingReport)),
            parameters=read_yaml(settings) if settings.exists() else {},
            sources={name: source[key] for key, name in SOURCES.items() if source.get(key)},
            bundled=bundled,
            older_bundle=None if bundled else manifest,
            run=record_if_there(reports / "run.json", RunSummary),
            comparison=comparison if manifest and comparison and comparison.candidate == manifest["digest"] else None,
            data_docs=(reports / "data_docs" / "index.html").exists(),
        )


def load_results(root: Path) -> StageResults:
    """The results in `root`, without verify.json if it belongs to an earlier model."""
    metrics, results = root / paths.METRICS, StageResults()
    readers: dict[str, Callable[[Path], Any]] = {
        "check": if_there,
        "train": if_there,
        "evaluate": partial(record_if_there, kind=Evaluation),
        "gate": partial(record_if_there, kind=GateResult),
        "verify": partial(record_if_there, kind=VerifyReport),
    }
    for stage, read in readers.items():
        results = replace(results, **{stage: read(metrics / f"{stage}.json")})
        if results.states[stage] != PASSED:
            break
    manifest = if_there(root / paths.BUNDLE / "manifest.json")
    if results.verify and results.train and manifest and manifest["model_sha256"] != results.train["model_sha256"]:
        return replace(results, verify=None)
    return results


def if_there(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def record_if_there(path: Path, kind: type[T]) -> T | None:
    """None also if an earlier version of fpplm wrote the file in another form: its stage has yet to run again."""
    if not path.exists():
        return None
    try:
        return TypeAdapter(kind).validate_python(read_json(path))
    except ValidationError:
        return None


def heat_map(confusion: Mapping[str, Mapping[str, int]]) -> HeatMap:
    types = sorted({kind for row in (confusion, *confusion.values()) for kind in row} - {MISSED, SPURIOUS})
    rows = []
    for gold in (*types, SPURIOUS):
        counts = [confusion.get(gold, {}).get(kind, 0) for kind in (*types, MISSED)]
        rows.append((gold, sum(counts), [(count, count / max(1, sum(counts))) for count in counts]))
    return HeatMap([*types, MISSED], rows)


def graph_rows(report: VerifyReport | None, timings: TimingReport | None) -> list[GraphRow]:
    """One row per graph and device."""
    if report is None:
        return []
    speeds = {(timing.variant, timing.device): timing for timing in timings.runs} if timings else {}
    rows = []
    for name, verdict in report.variants.items():
        variant, device = name.split(" on ")
        kept = verdict.accepted and "fp32" not in report.refused  # without fp32 there is no bundle
        rows.append(GraphRow(variant, device, kept, verdict, report.bytes[variant], speeds.get((variant, device))))
    return rows


def coverage(findings: Json, steps: int) -> list[GroupRow]:
    """One row per group of weights."""
    opened = {row["group"]: row for row in findings.get("fuzzy_regions", {}).get("coverage", [])}
    rows = []
    for moved in findings.get("movement", []):
        row = opened.get(moved["group"])
        share = row["opened_at_step"] / steps if row else None
        rows.append(GroupRow(**{**(row or {}), **moved}, opened=share))
    return rows


def timeline(findings: Json) -> list[tuple[str, str, float, float]]:
    """The phases in the order in which they begin; empty ones left out."""
    phases = findings.get("phases", {})
    rows = [
        (name, phase, *span) for name, every in phases.items() for phase, span in every.items() if span[0] < span[1]
    ]
    return sorted(rows, key=lambda row: row[2:])


def measurements(findings: Json) -> list[tuple[str, str, float]]:
    """All plain numbers among the findings, flattened by one level."""
    rows = []
    for technique, values in findings.items():
        for name, value in values.items() if isinstance(values, dict) else ():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            rows += [(technique, f"{name} {key}".strip(), v) for key, v in inner if isinstance(v, int | float)]
    return rows
