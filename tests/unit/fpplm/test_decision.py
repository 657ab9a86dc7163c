"""The decision about a bundle where there is nothing to compare it with, or where the incumbent's corpus is gone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fpplm.promotion import data_changes, decision
from fpplm_core.errors import RegistryError
from fpplm_core.params import Params, load
from tests.project import ROOT

FILES = {"onnx/model.onnx": {"sha256": "a", "bytes": 1}}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(ROOT)
    found = load()
    monkeypatch.chdir(tmp_path)
    bundle = SimpleNamespace(manifest={"digest": "d", "files": FILES})
    monkeypatch.setattr(decision, "open_bundle", lambda path, **options: bundle)
    monkeypatch.setattr(decision, "in_production", lambda: "v1.0.0")
    monkeypatch.setattr(decision, "bundle_of", Path)
    return found


def test_without_a_repository_a_bundle_is_held(settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision, "is_repository", lambda: False)
    verdict = decision.decide(settings, promote=False)
    assert (verdict.verdict, verdict.model) == ("hold", "d")
    assert verdict.reasons == ["no Git repository here: nothing can be registered"]


def test_the_bundle_that_is_in_production_is_not_compared_with_itself(
    settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision, "manifest_of", lambda version: {"files": dict(FILES)})
    verdict = decision.decide_on_bundle(settings, "d", "v1.0.0", FILES)
    assert (verdict.verdict, verdict.against) == ("unchanged", "v1.0.0")
    assert verdict.reasons == ["every file is the same as in v1.0.0"]


def test_a_corpus_that_nobody_has_any_more_does_not_stop_the_comparison(
    settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*arguments: object) -> Path:
        raise RegistryError("dvc pull failed")

    seen: list[Any] = []
    monkeypatch.setattr(data_changes, "resolve", lambda version: version)
    monkeypatch.setattr(data_changes, "commit_of", lambda version: "c")
    monkeypatch.setattr(data_changes, "copy_of", gone)
    monkeypatch.setattr(decision, "manifest_of", lambda version: {"files": {}})
    monkeypatch.setattr(decision, "measure_overlap", seen.append)
    monkeypatch.setattr(decision, "replace", lambda comparison, **changes: comparison)
    monkeypatch.setattr(decision, "write_record", lambda path, comparison: None)
    monkeypatch.setattr(decision, "compare", lambda *arguments: SimpleNamespace(verdict="promote", reasons=["better"]))
    stale = data_changes.DATA_DIFF
    stale.parent.mkdir(parents=True)
    stale.write_text("{}")
    assert decision.decide_on_bundle(settings, "d", "v1.0.0", FILES).verdict == "promote"
    assert seen == [None] and not stale.exists(), "no differences of an earlier comparison stay"
