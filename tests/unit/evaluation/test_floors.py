"""Floors for the gate: which are missing, and what a model's own scores propose."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from fpplm.pipeline.paths import PARAMS
from fpplm.promotion import floors as promotion
from fpplm_core.errors import GateFailed
from fpplm_core.evaluation.floors import Floors, missing_floors, propose_floors, weak_types
from fpplm_core.evaluation.metrics import bootstrap_f1
from fpplm_core.evaluation.predictions import SentencePrediction
from fpplm_core.settings import read_yaml
from fpplm_core.tagging.spans import Span
from tests.conftest import ROOT
from tests.unit.evaluation.test_gate import scores, settings


def row(*kinds: str, found: bool) -> SentencePrediction:
    gold = [Span(n, n + 1, kind) for n, kind in enumerate(kinds)]
    predicted = gold if found else []
    tp = len(predicted)
    return SentencePrediction("x", 1, ("w",) * len(kinds), gold, predicted, tp, 0, len(gold) - tp)


TEST = [row("PER", "LOC", found=n % 3 > 0) for n in range(60)] + [row("ORG", found=False)] * 3


def test_floors_are_the_lower_ends_of_the_intervals_rounded_down() -> None:
    floors = propose_floors(TEST, ["PER", "LOC", "ORG", "NONE"])
    low, _ = bootstrap_f1([(r.tp, r.fp, r.fn) for r in TEST])
    assert low - 0.01 < floors.min_f1 <= low and round(100 * floors.min_f1, 9) % 1 == 0
    assert 0 < floors.min_type_f1 <= 0.8
    assert floors.type_f1 == {"NONE": 0, "ORG": 0}, "a type that is never found has no floor, and that is written"


def test_without_anything_right_no_floor_is_proposed() -> None:
    assert propose_floors([row("PER", found=False)] * 9, ["PER"]) == Floors(0, 0, {"PER": 0})
    assert propose_floors([], []) == Floors(0, 0, {})


@pytest.mark.parametrize(
    ("gate", "missing"),
    [
        ({"min_f1": 0}, ["gate.min_f1", "gate.min_type_f1"]),
        ({}, ["gate.min_type_f1"]),
        ({"type_f1": {"PER": 0}}, ["gate.min_type_f1"]),
        ({"type_f1": {"PER": 0, "LOC": 0.3}}, []),
        ({"min_type_f1": 0.1}, []),
        ({"min_f1": 0, "min_type_f1": 0.1}, ["gate.min_f1"]),
    ],
)
def test_a_gate_without_floors_is_open(gate: dict[str, object], missing: list[str]) -> None:
    assert missing_floors(settings(**gate), ["LOC", "PER"]) == missing


def test_types_that_are_never_found_or_not_in_test_are_named() -> None:
    found = weak_types(scores(PER=0.0, LOC=0.4), ["LOC", "PER", "ORG"])
    assert found == ["ORG: test has no mention of this type", "PER: test F1 0.0000 on 1 mention(s)"]


def test_floors_are_written_where_none_is_set_and_comments_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = (ROOT / "params.yaml").read_text()
    text = before.replace("min_f1: 0.60", "min_f1: 0.0").replace("type_f1: {}", "type_f1: {LOC: 0.7}")
    PARAMS.write_text(text)
    monkeypatch.setattr(promotion, "proposed", lambda: Floors(0.41, 0.05, {"LOC": 0, "ORG": 0}))
    gate = settings(**read_yaml("params.yaml")["gate"])
    assert promotion.write_floors(gate) == {"min_f1": 0.41}, "min_type_f1 is set, and holds for ORG too"
    after = PARAMS.read_text()
    changed = [b for a, b in zip(text.splitlines(), after.splitlines(), strict=True) if a != b]
    assert [line.split("#")[0].split() for line in changed] == [["min_f1:", "0.41"]]
    assert all("#" in line for line in changed)


def test_a_type_that_no_floor_suits_gets_none_with_the_floor_of_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text().replace("min_type_f1: 0.35", "min_type_f1: 0.0")
    PARAMS.write_text(text.replace("type_f1: {}", "type_f1: {LOC: 0.7}"))
    monkeypatch.setattr(promotion, "proposed", lambda: Floors(0.41, 0.05, {"LOC": 0, "ORG": 0}))
    written = promotion.write_floors(settings(**read_yaml("params.yaml")["gate"]))
    assert written == {"min_type_f1": 0.05, "type_f1": {"LOC": 0.7, "ORG": 0}}
    assert read_yaml("params.yaml")["gate"]["type_f1"] == {"LOC": 0.7, "ORG": 0}


def test_a_model_that_finds_nothing_gets_no_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promotion, "known_types", lambda: ["PER"])
    monkeypatch.setattr(promotion, "read_predictions", lambda path: [row("PER", found=False)] * 20)
    monkeypatch.setattr(promotion, "read_record", lambda path, kind: SimpleNamespace(test=scores(PER=0.0)))
    with pytest.raises(GateFailed, match=r"too low to propose floors, got test F1"):
        promotion.proposed()
