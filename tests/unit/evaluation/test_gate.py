import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from fpplm_core.errors import GateFailed
from fpplm_core.evaluation.gate import GateResult, apply_rules
from fpplm_core.evaluation.scores import Evaluation, SliceScore, SplitScores, TypeScore, worst_slice
from fpplm_core.evaluation.settings import GateSettings
from fpplm_core.files import read_record, write_record
from tasks import gate as stage


def settings(**changes: Any) -> GateSettings:
    return GateSettings(
        **{"min_f1": 0.5, "min_type_f1": 0.0, "type_f1": {}, "slice_f1": {}, "max_check_warnings": 2} | changes
    )


def scores(f1: float = 0.9, coverage: float = 1.0, **types: float) -> SplitScores:
    """Scores with 0 for all that no rule looks at."""
    values: dict[str, Any] = {field.name: 0 for field in fields(SplitScores)} | {"confusion": {}, "slices": {}}
    by_type = {kind: TypeScore(value, 0.0, 0.0, 1) for kind, value in types.items()}
    return SplitScores(**values | {"f1": f1, "coverage": coverage, "types": by_type})


def failed(test: SplitScores, warnings: int = 0, **changes: Any) -> list[str]:
    result = apply_rules(test, warnings, settings(**changes))
    names = [rule.name for rule in result.rules if not rule.passed]
    assert result.passed == (not names)
    return names


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
    rules = apply_rules(test, 0, settings(min_type_f1=0.3, type_f1={"LOC": 0.4, "ORG": 0.5})).rules
    bounds = {rule.name: (rule.value, rule.bound) for rule in rules}
    assert len(bounds) == len(rules) == 6
    assert bounds["test F1 of PER"] == (0.1, 0.3)
    assert bounds["test F1 of LOC"] == (0.2, 0.4)
    assert bounds["test F1 of ORG (not in test)"] == (0.0, 0.5)


@pytest.mark.parametrize(
    ("changes", "names", "undecided"),
    [
        ({}, [], 0),
        ({"min_type_f1": 0.3}, [], 1),
        ({"min_type_f1": 0.3, "type_f1": {"ORG": 0.1}}, ["test F1 of ORG"], 0),
    ],
)
def test_a_type_that_test_does_not_have_fails_only_at_a_floor_of_its_own(changes, names, undecided):
    test = scores(PER=0.7)
    test.types["ORG"] = TypeScore(0.0, 0.0, 0.0, 0)  # one spurious mention
    assert failed(test, **changes) == names
    lines = apply_rules(test, 0, settings(**changes)).undecided
    assert len(lines) == undecided and all(line.startswith("ORG: test has no mention") for line in lines)


def with_slices(**f1: float) -> SplitScores:
    """Slices with these F1; those of a negative one have too few mentions to decide."""
    rows = {name: SliceScore(abs(x), 0.0, 0.0, 40, 0.0, 1.0, 50, decides=x >= 0) for name, x in f1.items()}
    return replace(scores(), slices=rows)


@pytest.mark.parametrize(
    ("floors", "names", "undecided"),
    [
        ({}, [], 0),
        ({"short": 0.7}, [], 0),
        ({"short": 0.71}, ["test F1 of slice short"], 0),
        ({"rare": 0.9}, [], 1),
        ({"rare": 0.9, "long": 0.5}, ["test F1 of slice long"], 1),
        ({"gone": 0.1}, ["test F1 of slice gone (not in slices.yaml)"], 0),
    ],
)
def test_a_slice_stops_the_gate_below_its_floor_if_it_decides(floors, names, undecided):
    test = with_slices(short=0.7, long=0.4, rare=-0.2)
    assert failed(test, slice_f1=floors) == names
    result = apply_rules(test, 0, settings(slice_f1=floors))
    assert len(result.undecided) == undecided
    assert all(line.startswith("slice rare: 40 mentions in test are too few") for line in result.undecided)


def test_the_worst_slice_is_one_that_decides():
    expected = "worst of 2 slices, long: test F1 0.4000 [0.0000, 1.0000] on 40 mentions"
    assert worst_slice(with_slices(short=0.7, long=0.4, rare=-0.2)) == [expected]
    assert worst_slice(with_slices(rare=-0.2)) == worst_slice(scores()) == []


def test_metrics_of_an_earlier_version_are_read_and_slices_come_back(project):
    path = project / "metrics/evaluate.json"
    test = with_slices(short=0.7, rare=-0.2)
    write_record(path, Evaluation(dev=test, test=test))
    assert read_record(path, Evaluation).test == test
    old = json.loads(path.read_text())
    for split in old.values():
        del split["slices"]
    path.write_text(json.dumps(old))
    assert read_record(path, Evaluation).test.slices == {}
    (project / "metrics/gate.json").write_text('{"passed": true, "rules": []}')
    assert read_record(project / "metrics/gate.json", GateResult).undecided == []


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage, "render", lambda: "not made here", raising=False)  # the report has tests of its own
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/check.json").write_text(json.dumps({"warnings": 0}))
    return tmp_path


@pytest.mark.parametrize("good", [True, False])
def test_the_verdict_is_written_whether_good_or_bad(project, good):
    test = scores(f1=float(good), PER=1.0)
    write_record(project / "metrics/evaluate.json", Evaluation(dev=test, test=test))
    if good:
        stage.gate(settings(min_f1=0.9))
    else:
        with pytest.raises(GateFailed, match="1 of 4 rules failed, got test F1; nothing was exported"):
            stage.gate(settings(min_f1=0.9))
    verdict = json.loads((project / "metrics/gate.json").read_text())
    assert verdict["passed"] == good
    assert [rule["passed"] for rule in verdict["rules"]] == [True, good, True, True]
