"""The models so far: what the ledger and the registry know of each, and the page that `fpplm runs --html` writes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fpplm.cli.main import app
from fpplm.promotion import history, trend
from fpplm.promotion.history import Run, summarise
from fpplm.registry.versions import Tag
from fpplm.report.run import Verdict
from fpplm.report.scores import F1, ModelScores
from fpplm_core.errors import RegistryError

SCORES = ModelScores(F1(0.5, 0.4, 0.6), F1(0.49, 0.39, 0.59))
METRICS: dict[str, Any] = {
    "evaluate": {"test": {"f1": 0.7, "f1_low": 0.6, "f1_high": 0.8}},
    "verify": {"served": None},
    "check": {"statistics": {"train": {"words": 77}}},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def register(monkeypatch: pytest.MonkeyPatch, tags: dict[str, str], production: str | None) -> None:
    """Makes the registry have these versions with their dates."""
    found = {name: Tag(name, date, f"commit of {name}", "me", "") for name, date in tags.items()}
    monkeypatch.setattr(trend, "versions", lambda: found)
    monkeypatch.setattr(trend, "in_production", lambda: production)

    def metrics_at(commit: str, stage: str) -> Any:
        if commit.endswith("bare"):
            raise RegistryError("git show failed")
        return METRICS[stage]

    monkeypatch.setattr(trend, "metrics_at", metrics_at)


def record(name: str, started: str, verdict: Verdict, **facts: Any) -> None:
    history.add(name, started=started, seconds={"train": 2.5, "verify": 1.0}, **asdict(verdict), **facts)


def test_judged_runs_and_versions_from_elsewhere_are_in_the_order_of_their_dates(monkeypatch) -> None:
    size = {"train": {"words": 1000}}
    record("a", "2026-01-02T00:00:00+00:00", Verdict("hold", ["so"], "m1"), scores=asdict(SCORES), statistics=size)
    record("b", "2026-01-03T00:00:00+00:00", Verdict("promote", ["so"], "m2", None, "v2.0.0"), statistics=size)
    record("c", "2026-01-04T00:00:00+00:00", Verdict("unchanged", ["so"], "m2"))
    record("d", "2026-01-05T00:00:00+00:00", Verdict("failed", ["so"]))
    # v1 was registered an hour before run a, although its local time reads later
    register(monkeypatch, {"v1.0.0": "2026-01-02T01:00:00+02:00", "v2.0.0": "2026-01-03T01:00:00+00:00"}, "v2.0.0")
    first, held, promoted = history.trend(history.runs())
    assert (first.name, first.verdict, first.words, first.seconds) == ("v1.0.0", "registered", 77, None)
    assert first.scores == ModelScores(F1(0.7, 0.6, 0.8), None)
    assert (held.name, held.verdict, held.scores, held.words, held.seconds) == ("a", "hold", SCORES, 1000, 3.5)
    assert (promoted.name, promoted.verdict, promoted.words) == ("v2.0.0", "promoted", 1000)
    assert promoted.scores == first.scores, "from its commit, since its run recorded none"
    assert [one.in_production for one in (first, held, promoted)] == [False, False, True]


def test_a_run_whose_start_the_ledger_lacks_is_left_out(monkeypatch) -> None:
    register(monkeypatch, {}, None)
    history.add("a", **asdict(Verdict("hold", ["so"], "m1")))
    record("b", "2026-01-03T00:00:00+00:00", Verdict("hold", ["so"], "m2"))
    assert [point.name for point in history.trend(history.runs())] == ["b"]


def test_a_version_without_metrics_is_there_without_scores(monkeypatch) -> None:
    register(monkeypatch, {"bare": "2026-01-02T01:00:00+02:00"}, None)
    (found,) = history.trend([])
    assert (found.name, found.scores, found.words, found.in_production) == ("bare", None, None, False)


def test_without_git_the_ledger_alone_counts(monkeypatch) -> None:
    def refuse() -> None:
        raise RegistryError("no repository")

    monkeypatch.setattr(trend, "versions", refuse)
    record("a", "2026-01-02T00:00:00+00:00", Verdict("reject", ["so"], "m1"))
    assert [one.name for one in history.trend(history.runs())] == ["a"]


def test_the_summary_of_a_run_has_this_run_as_the_last_point(monkeypatch) -> None:
    register(monkeypatch, {}, None)
    run = Run.begin()
    run.seconds["train"] = 4.0
    run.note(scores=asdict(SCORES))
    (point,) = summarise(run, Verdict("hold", ["so"], "m"), 0.2).trend
    assert (point.name, point.verdict, point.scores, point.seconds) == (run.name, "hold", SCORES, 4.0)
    assert summarise(run, Verdict("failed", ["so"]), 0.2).trend == []


def test_the_command_writes_the_page(folder: Path, monkeypatch) -> None:
    register(monkeypatch, {}, None)
    for name in ("dvc.yaml", "params.yaml"):
        (folder / name).touch()
    record("a", "2026-01-02T00:00:00+00:00", Verdict("hold", ["so"], "m1"), scores=asdict(SCORES))
    done = CliRunner().invoke(app, ["runs", "--html", "trend.html"])
    assert done.exit_code == 0 and done.output == "trend.html: 1 model\n", done.output
    assert "0.490" in (folder / "trend.html").read_text(encoding="utf-8")
