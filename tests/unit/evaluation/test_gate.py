import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fpplm_core.errors import GateFailed
from fpplm_core.evaluation.gate import rules
from fpplm_core.evaluation.settings import GateParams
from tasks import gate as stage
from tasks.gate import main

PARAMS = Path(__file__).resolve().parents[3] / "params.yaml"


def settings(**changes: Any) -> GateParams:
    return GateParams(**{"min_f1": 0.5, "min_type_f1": 0.0, "type_f1": {}, "max_check_warnings": 2} | changes)


def scores(f1: float = 0.9, coverage: float = 1.0, **types: float) -> dict[str, Any]:
    return {"f1": f1, "coverage": coverage, "types": {kind: {"f1": value} for kind, value in types.items()}}


def failed(test: dict[str, Any], warnings: int = 0, **changes: Any) -> list[str]:
    return [r.name for r in rules(test, {"warnings": warnings}, settings(**changes)) if not r.passed]


@pytest.mark.parametrize(
    ("test", "warnings", "changes", "names"),
    [
        (scores(f1=0.5), 0, {}, []),
        (scores(f1=0.49999), 0, {}, ["test F1"]),
        (scores(f1=0.0), 0, {"min_f1": 0.0}, []),
        (scores(), 2, {}, []),
        (scores(), 3, {}, ["kinds of data warning"]),
        (scores(), 1, {"max_check_warnings": 0}, ["kinds of data warning"]),
        (scores(coverage=0.999999), 0, {}, ["coverage"]),
        (scores(PER=0.7, LOC=0.7), 0, {"min_type_f1": 0.7}, []),
        (scores(PER=0.7, LOC=0.69), 0, {"min_type_f1": 0.7}, ["test F1 of LOC"]),
        (scores(PER=0.8, LOC=0.7), 0, {"type_f1": {"PER": 0.8}}, []),
        (scores(PER=0.79, LOC=0.7), 0, {"type_f1": {"PER": 0.8}}, ["test F1 of PER"]),
        (scores(PER=0.1, LOC=0.7), 0, {"min_type_f1": 0.5, "type_f1": {"PER": 0.1}}, []),
        (scores(PER=0.1, LOC=0.4), 0, {"min_type_f1": 0.5, "type_f1": {"PER": 0.1}}, ["test F1 of LOC"]),
        (scores(PER=1.0), 0, {"type_f1": {"LOC": 0.1}}, ["test F1 of LOC (not in test)"]),
        (scores(PER=1.0), 0, {"type_f1": {"LOC": 0.0}}, []),
        (
            scores(),
            9,
            {"min_f1": 1.0, "type_f1": {"X": 1}},
            ["test F1", "test F1 of X (not in test)", "kinds of data warning"],
        ),
    ],
)
def test_rules_hold_at_their_bound_and_not_beyond(test, warnings, changes, names):
    assert failed(test, warnings, **changes) == names


def test_every_type_has_one_rule_and_its_own_floor_wins():
    test = scores(PER=0.1, LOC=0.2)
    found = rules(test, {"warnings": 0}, settings(min_type_f1=0.3, type_f1={"LOC": 0.4, "ORG": 0.5}))
    bounds = {rule.name: (rule.value, rule.bound) for rule in found}
    assert len(bounds) == len(found) == 6
    assert bounds["test F1 of PER"] == (0.1, 0.3)
    assert bounds["test F1 of LOC"] == (0.2, 0.4)
    assert bounds["test F1 of ORG (not in test)"] == (0.0, 0.5)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage, "render", lambda: "not made here", raising=False)  # the report has tests of its own
    shutil.copy(PARAMS, tmp_path)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/check.json").write_text(json.dumps({"warnings": 0}))
    return tmp_path


@pytest.mark.parametrize("good", [True, False])
def test_the_verdict_is_written_whether_good_or_bad(project, good):
    (project / "metrics/evaluate.json").write_text(json.dumps({"test": scores(f1=float(good), coverage=1.0, PER=1.0)}))
    (project / "params.yaml").write_text(PARAMS.read_text().replace("min_f1: ", "min_f1: 0.9 #"))
    if good:
        main()
    else:
        with pytest.raises(GateFailed, match="1 of 4 rules failed, got test F1; nothing was exported"):
            main()
    verdict = json.loads((project / "metrics/gate.json").read_text())
    assert verdict["passed"] == good
    assert [rule["passed"] for rule in verdict["rules"]] == [True, good, True, True]
