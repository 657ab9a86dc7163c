"""The ledger of runs, and what changed between two models."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm.pipeline.changes import Change
from fpplm.promotion import decision, history
from fpplm.promotion.history import Run, summarise
from fpplm.registry.lineage import Lineage
from fpplm.registry.versions import Assignment
from fpplm.report.run import ChangesSince, Verdict, as_markdown
from fpplm_core.errors import RegistryError
from fpplm_core.escaping import markdown
from fpplm_core.params import load
from fpplm_core.quality import split_table
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_is_all_that_is_known_of_it() -> None:
    run = Run.begin(promote=True)
    with run.timing("read"):
        run.ran["read"] = True
    assert history.runs()[0].state == "running"
    run.end(Verdict("promote", ["better"], "abc", "v1.0.0", "v2.0.0"))
    (found,) = history.runs()
    assert found.ran == {"read": True} and found.seconds.keys() == {"read"} and found.promote
    assert found.state == "promoted"
    assert replace(found, version=None).state == "promote", "it was only said"


def test_a_decision_counts_as_long_as_the_rules_are_the_same() -> None:
    settings = load(ROOT / "params.yaml")
    run = Run.begin(promote=False)
    assert decision.earlier_decision(settings, "abc", "v1.0.0", promote=False) is None
    run.note(promotion=settings.promotion.model_dump())
    run.end(Verdict("hold", ["a loss is possible"], "abc", "v1.0.0"))
    earlier = decision.earlier_decision(settings, "abc", "v1.0.0", promote=False)
    assert earlier is not None and "hold (a loss is possible)" in earlier
    wider = settings.model_copy(update={"promotion": settings.promotion.model_copy(update={"margin": 0.1})})
    assert decision.earlier_decision(wider, "abc", "v1.0.0", promote=False) is None
    run.note(promotion=None)  # by a flow of an earlier fpplm
    assert decision.earlier_decision(settings, "abc", "v1.0.0", promote=False)
    newer = Run.begin(promote=False, promotion=wider.promotion.model_dump())
    newer.end(Verdict("promote", ["no loss"], "abc", "v1.0.0"))
    assert decision.earlier_decision(settings, "abc", "v1.0.0", promote=False) is None
    assert decision.earlier_decision(wider, "abc", "v1.0.0", promote=False)


def test_a_run_without_an_end_whose_process_is_gone_was_killed() -> None:
    history.add("a", started="now", pid=2**22 + 1, host=socket.gethostname())
    history.add("b", started="now", pid=os.getpid(), host="another")
    assert [run.state for run in history.runs()] == ["killed", "killed"]


@given(cut=st.integers(0, 400))
def test_a_line_that_a_kill_has_cut_costs_that_line_alone(cut: int) -> None:
    history.LEDGER.unlink(missing_ok=True)
    for name in ("first", "second"):
        history.add(name, started="2026", text="ä" * 20)
    whole = history.LEDGER.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    cut = min(cut, len(whole))
    history.LEDGER.write_bytes(whole[:cut])
    history.add("third", started="2026")
    kept = [run.run for run in history.runs()]
    assert kept[-1] == "third"
    assert len(kept) - 1 in (sum(end <= cut for end in ends), sum(end - 1 <= cut for end in ends))


def test_runs_stay_in_the_order_of_their_lines_whatever_the_clock_says() -> None:
    for name, moment in (("late", "2030"), ("early", "2020")):
        history.add(name, started=moment)
    assert [run.run for run in history.runs()] == ["late", "early"]


MADE = {
    "commit": "a" * 40,
    "parameters": {"train": {"lr": 1e-3, "seed": 1}, "technique": {"active": ["label_lm"]}},
    "data": {"train.conll": "1" * 64, "dev.conll": "2" * 64},
    "code": {"tasks.train": "6" * 64, "tasks.read": "7" * 64},
    "lock_sha256": "3" * 64,
    "python": "3.11.7",
    "packages": {"torch": "2.13.0", "numpy": "2"},
}


def diff(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    return Lineage.from_manifest(before).diff(Lineage.from_manifest(after))


def test_the_same_has_not_changed() -> None:
    assert diff(MADE, json.loads(json.dumps(MADE))) == []


def test_each_change_is_named_with_both_values() -> None:
    after = json.loads(json.dumps(MADE))
    after["parameters"]["train"]["lr"] = 2e-3
    after["parameters"]["technique"]["active"] = []
    after["data"] |= {"train.conll": "4" * 64, "drops/new.conll": "5" * 64}
    after["packages"] = {"torch": "2.14.0"}
    after["code"] = {"tasks.train": "8" * 64, "tasks.read": "7" * 64}
    after |= {"python": "3.11.9", "commit": "b" * 40}
    found = {(c.kind, c.name): (c.before, c.after) for c in diff(MADE, after)}
    assert found == {
        ("parameters", "train.lr"): ("0.001", "0.002"),
        ("parameters", "technique.active"): ("['label_lm']", "[]"),
        ("data", "train.conll"): ("1" * 12, "4" * 12),
        ("data", "drops/new.conll"): ("–", "5" * 12),
        ("packages", "torch"): ("2.13.0", "2.14.0"),
        ("environment", "python"): ("3.11.7", "3.11.9"),
        ("code", "tasks.train"): ("6" * 12, "8" * 12),
        ("code", "commit"): ("a" * 12, "b" * 12),
    }
    assert {(c.kind, c.name): (c.after, c.before) for c in diff(after, MADE)} == found


@pytest.mark.parametrize("change", [{"python": "3.12.1"}, {"code": {}}])
def test_code_is_compared_only_where_both_record_it_under_one_python(change: dict[str, Any]) -> None:
    after = json.loads(json.dumps(MADE)) | {"code": {"tasks.train": "8" * 64}} | change
    assert not [c for c in diff(MADE, after) if c.kind == "code"]


def facts(seed: int) -> dict[str, Any]:
    return json.loads(json.dumps(MADE)) | {"parameters": {"train": {"seed": seed}}}


def seed_change(before: int, after: int) -> list[Change]:
    return [Change("parameters", "train.seed", str(before), str(after))]


DEAD = {"pid": 2**22 + 1, "host": socket.gethostname()}
NO_OTHERS = {"killed": None, "failed": "failed", "refused": "refused", "skipped": "skipped"}
ENDS = {"promoted": "promote", "hold": "hold", "reject": "reject", "unchanged": "unchanged", **NO_OTHERS}


def ledger(states: tuple[str, ...]) -> None:
    """Earlier runs that ended so, the first with seed 0, the second with seed 1 and so on."""
    for seed, state in enumerate(states):
        end = {"verdict": ENDS[state], "ended": "then", "reasons": ["so"]} if ENDS[state] else {}
        made = {} if state == "skipped" else {"facts": facts(seed), "statistics": {"seed": seed}}
        version = {"version": "v1.0.0"} if state == "promoted" else {}
        history.add(f"run{seed}", started=f"2026-01-0{seed + 1}T03:00:00+00:00", **DEAD, **made, **end, **version)


ALL_ORDERS = [
    *itertools.permutations(("promoted", "killed", "failed", "refused")),
    *itertools.permutations(("hold", "skipped", "failed", "unchanged"), 3),
]


@pytest.mark.parametrize("states", ALL_ORDERS)
def test_a_run_is_compared_with_the_last_finished_one(states: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_table, "drift", lambda before, after, _: [f"{before} to {after}"])
    ledger(states)
    run = Run.begin()
    run.note(facts=facts(9), statistics={"seed": 9})
    finished = [seed for seed, state in enumerate(states) if state not in NO_OTHERS]
    summary = summarise(run, Verdict("hold", ["so"]), 0.2)
    if not finished:
        assert summary.compared == summary.drift == []
        return
    last = finished[-1]
    since = f"the last finished run, 2026-01-0{last + 1} 03:00 ({states[last]})"
    assert summary.compared == [ChangesSince(since, seed_change(last, 9))]
    assert summary.drift == [f"{ {'seed': last} } to { {'seed': 9} }"]
    text = as_markdown(summary, "")
    assert (
        f"## Changes since {markdown(since)}" in text
        and f"| parameters | {markdown('train.seed')} | {last} | 9 |" in text
    )


def assignments(*dated: tuple[str, str]) -> list[Assignment]:
    """The assignments with these dates and versions."""
    return [Assignment(date, "somebody", None, version, "") for date, version in dated]


@pytest.mark.parametrize("last", ["killed", "failed", "refused", "hold", "promoted"])
@pytest.mark.parametrize("judged", [True, False], ids=["judged", "failed"])
def test_a_run_is_compared_with_the_version_that_was_in_production(
    last: str, judged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promoted version itself is in production by then, and is not the one to compare with."""
    assigned = [("2026-01-01T04:00:00+00:00", "v1.0.0"), ("2026-01-02T05:06:07+00:00", "v2.0.0")]
    last_one = [("2026-01-09", "v3.0.0")] if judged else []
    monkeypatch.setattr(history, "assignments", lambda: assignments(*assigned, *last_one))
    if judged and last == "hold":  # as after a rollback and another promotion
        assigned.insert(0, ("2025-12-31", "v2.0.0"))
    made = {"v2.0.0": facts(2) | {"commit": "c" * 40}}
    monkeypatch.setattr(history, "manifest_of", made.__getitem__)
    ledger((last,))
    run = Run.begin()
    run.note(facts=facts(9))
    verdict = Verdict("promote", ["so"], "digest", "v2.0.0", "v3.0.0") if judged else Verdict("failed", ["so"])
    first, *others = summarise(run, verdict, 0.2).compared
    assert first == ChangesSince("v2.0.0, put into production 2026-01-02 05:06", seed_change(2, 9))
    assert len(others) == (last in ("hold", "promoted"))


def test_after_a_rollback_the_earlier_version_is_the_one_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        history, "assignments", lambda: assignments(("2026-01-01", "v1"), ("2026-01-02", "v2"), ("2026-01-03", "v1"))
    )
    monkeypatch.setattr(history, "manifest_of", {"v1": facts(1)}.__getitem__)
    run = Run.begin()
    run.note(facts=facts(9))
    (found,) = summarise(run, Verdict("failed", ["so"]), 0.2).compared
    assert found == ChangesSince("v1, put into production 2026-01-03", seed_change(1, 9))


def test_the_first_model_is_compared_with_none_and_a_lost_bundle_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "assignments", lambda: assignments(("2026-01-01T04:00:00+00:00", "v1.0.0")))
    run = Run.begin()
    run.note(facts=facts(9))
    summary = summarise(run, Verdict("promote", ["so"], "digest", None, "v1.0.0"), 0.2)
    assert summary.compared == [] and "This is the first run." in as_markdown(summary, "")

    def lost(version: str) -> None:
        raise RegistryError("cannot fetch the bundle", where=version)

    monkeypatch.setattr(history, "manifest_of", lost)
    summary = summarise(run, Verdict("hold", ["so"], "digest", "v1.0.0"), 0.2)
    assert summary.compared == [ChangesSince("v1.0.0, put into production 2026-01-01 04:00", None)]
    assert "Its bundle cannot be read." in as_markdown(summary, "")


def test_prefect_is_not_imported_before_the_flow() -> None:
    """`run_flow` sets variables that Prefect reads once, when it is imported."""
    modules = "fpplm.cli.main, fpplm.cli.common, fpplm.promotion.history, fpplm.report.console, fpplm.studies.ablation"
    code = f"import sys, {modules}; print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_run_that_fails_before_its_inputs_are_known_is_not_called_the_first() -> None:
    run = Run.begin()
    summary = summarise(run, Verdict("refused", ["so"]), 0.2)
    assert summary.compared is None and "first run" not in as_markdown(summary, "")
