"""Reads the results of the last run from a project's files, and arranges them for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from fpplm.pipeline import paths
from fpplm.pipeline.timing import Timing, TimingReport
from fpplm.report.analysis import (
    Boundaries,
    Calibration,
    HeatMap,
    boundaries,
    calibration,
    type_confusion,
    type_intervals,
)
from fpplm.report.run import RunSummary, TrendPoint
from fpplm.report.tagging_errors import ErrorTable, all_errors, error_table
from fpplm.report.training import Curves, GroupRow, Technique, group_rows, read_columns, read_curves, techniques
from fpplm_core.data.diff import DataDiff
from fpplm_core.evaluation.gate import GateResult
from fpplm_core.evaluation.predictions import SentencePrediction, read_predictions
from fpplm_core.evaluation.promotion import Comparison
from fpplm_core.evaluation.scores import Evaluation, SliceScore, TypeScore
from fpplm_core.export.verdicts import VariantVerdict, VerifyReport
from fpplm_core.files import read_json
from fpplm_core.serving.bundle import MANIFEST
from fpplm_core.settings import read_yaml

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
            stage: NOT_RUN if result is None else FAILED if failed.get(stage) else PASSED
            for stage, result in vars(self).items()
        }


@dataclass(frozen=True)
class TypeRow:
    """The scores of a type on dev and test; `interval` is that of its F1 on test, None without predictions."""

    name: str
    dev: TypeScore | None
    test: TypeScore | None
    interval: tuple[float, float] | None


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
class ReportData:
    """Everything that the templates show; results of stages that did not run are None or empty.

    `bundled` is the manifest of this run's bundle, `older_bundle` that of an earlier run's. `run` is None if it judged
    another model than the one that is here.
    """

    results: StageResults
    types: list[TypeRow]
    slices: list[tuple[str, SliceScore]]
    confusion: HeatMap | None
    boundaries: Boundaries | None
    calibration: Calibration | None
    errors: ErrorTable | None
    curves: Curves
    epochs: list[tuple[int, float]]
    groups: list[GroupRow]
    techniques: list[Technique]
    graphs: list[GraphRow]
    parameters: Json
    sources: dict[str, str]
    bundled: Json | None
    older_bundle: Json | None
    run: RunSummary | None
    trend: list[TrendPoint]
    comparison: Comparison | None
    data_diff: DataDiff | None
    data_docs: bool

    @classmethod
    def of(cls, root: Path) -> ReportData:
        """The report data of the project in `root`."""
        results, manifest = load_results(root), if_there(root / paths.BUNDLE / MANIFEST)
        reports, train = root / paths.REPORTS, results.train
        bundled = manifest if results.verify else None
        findings = (if_there(reports / "training" / "findings.json") or {}) if train else {}
        predictions, settings = root / paths.PREDICTIONS / "test.jsonl", root / paths.PARAMS
        sentences = read_predictions(predictions) if results.evaluate and predictions.exists() else None
        comparison = record_if_there(root / paths.COMPARISON, Comparison)
        compared = comparison if manifest and comparison and comparison.candidate == manifest["digest"] else None
        diff = record_if_there(root / paths.DATA_DIFF, DataDiff)
        run = record_if_there(root / paths.RUN, RunSummary)
        checked = results.states["check"] == PASSED
        curves = read_curves(root / paths.STEPS) if checked else Curves()
        epochs = read_columns(root / paths.EPOCHS) if checked else {}
        source = bundled or train or {}
        return cls(
            results=results,
            types=type_rows(results.evaluate, sentences) if results.evaluate else [],
            slices=worst_first(results.evaluate.test.slices) if results.evaluate else [],
            confusion=type_confusion(results.evaluate.test.confusion) if results.evaluate else None,
            boundaries=None if sentences is None else boundaries([*all_errors(sentences)]),
            calibration=calibration(sentences or []),
            errors=None if sentences is None else error_table(sentences),
            curves=curves,
            epochs=[
                (int(epoch), f1)
                for epoch, f1 in zip(epochs.get("epoch", ()), epochs.get("dev_f1", ()), strict=True)
                if epoch is not None and f1 is not None
            ],
            groups=group_rows(findings, train["steps"]) if train else [],
            techniques=techniques(findings, curves.columns),
            graphs=graph_rows(results.verify, record_if_there(root / paths.TIMINGS, TimingReport)),
            parameters=read_yaml(settings) if settings.exists() else {},
            sources={name: source[key] for key, name in SOURCES.items() if source.get(key)},
            bundled=bundled,
            older_bundle=None if bundled else manifest,
            run=run if run and run.model in (None, (manifest or {}).get("digest")) else None,
            trend=run.trend if run else [],
            comparison=compared,
            data_diff=diff
            if diff and compared and (diff.before, diff.after) == (compared.incumbent, compared.candidate)
            else None,
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
    manifest = if_there(root / paths.BUNDLE / MANIFEST)
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


def type_rows(scores: Evaluation, sentences: Sequence[SentencePrediction] | None) -> list[TypeRow]:
    """The types of dev and test, the weakest on test first."""
    dev, test = scores.dev.types, scores.test.types
    known = type_intervals(sentences, test) if sentences else {}
    rows = [TypeRow(name, dev.get(name), test.get(name), known.get(name)) for name in dev.keys() | test.keys()]
    return sorted(rows, key=lambda row: (row.test is None, row.test.f1 if row.test else 0.0, row.name))


def worst_first(slices: Mapping[str, SliceScore]) -> list[tuple[str, SliceScore]]:
    """Sorted by F1; those that decide nothing come last."""
    return sorted(slices.items(), key=lambda item: (not item[1].decides, item[1].f1))


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
