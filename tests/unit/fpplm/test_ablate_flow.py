"""The flow of an ablation, without Prefect: what it runs, and what it refuses before it runs anything."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from fpplm_core.errors import ParamsError
from tests.unit.fpplm.test_ablate import PLAN, SEARCH

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
