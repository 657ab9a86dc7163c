"""The flow of an ablation, without Prefect: what it runs, and what it refuses before it runs anything."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from fpplm.studies.ablation import Cell, by_key, cells_of
from fpplm.studies.ledger import LedgerRow, append_row, read_ledger
from fpplm_core.errors import ParamsError
from fpplm_core.settings import read_yaml
from tests.unit.fpplm.test_ablate import PLAN, SEARCH, row

flow = importlib.import_module("flows.ablate")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.yaml"
    changes: dict[str, Any] = {"search": SEARCH, "corpora": {"whole": {}}, "arms": {"plain": {}}}
    file.write_text(yaml.safe_dump(PLAN | changes))
    return file


@pytest.mark.parametrize("text", ["- plain\n", "plain: 3\n", "plain: {whole: 0.5}\n", "plain: [\n", "<<<<<<< HEAD\n"])
def test_choices_that_cannot_be_read_end_an_ablation_before_its_runs(
    plan: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (file := plan.with_suffix(".choices.yaml")).write_text(text)
    monkeypatch.setattr(flow, "run_missing", None)
    with pytest.raises(ParamsError, match=r"plan\.choices\.yaml"):
        flow.ablate(plan, plan.parent)
    assert file.read_text() == text


def test_equal_draws_run_once_and_a_finished_run_of_another_plan_not_at_all(
    plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = {"trials": 6, "space": {"train.epochs": [6, 12]}}
    plan.write_text(yaml.safe_dump(read_yaml(plan) | {"search": search}))
    first, second = by_key(cells_of(plan, plan.parent, final=False)).values()
    ledger, ran = plan.parent / "runs.jsonl", []
    append_row(ledger, row(first, arm="another", trial=None))

    def run(cell: Cell, facts: dict[str, Any], finished: list[LedgerRow]) -> LedgerRow:
        ran.append((cell, [(one.arm, one.trial) for one in finished]))
        return row(cell, **facts)

    def submit(cell: Cell, run: Callable[[Cell], LedgerRow]) -> Any:
        return SimpleNamespace(result=partial(run, cell))

    monkeypatch.setattr(flow, "execute", SimpleNamespace(submit=submit))
    monkeypatch.setattr(flow, "as_completed", iter)
    monkeypatch.setattr(flow, "end_on_sigterm", lambda: None)
    monkeypatch.setattr(flow, "PREPARED", plan.parent / "prepared")
    for _ in range(2):
        flow.run_missing.fn(plan, plan.parent, run, None)
        assert ran == [(second, [("plain", 0)])]
    assert len(read_ledger(ledger)) == 2
