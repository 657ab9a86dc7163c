"""The ledger of runs, and what changed between two models."""

from __future__ import annotations

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

from fpplm.promotion import history
from fpplm.promotion.history import Run, Verdict
from fpplm.registry.lineage import Lineage, LineageChange
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


def diff(before: dict[str, Any], after: dict[str, Any]) -> list[LineageChange]:
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


def test_prefect_is_not_imported_before_the_flow() -> None:
    """`load_flow` sets variables that Prefect reads once, when it is imported."""
    modules = "fpplm.cli.main, fpplm.cli.flow, fpplm.promotion.history, fpplm.report.console, fpplm.studies.ablation"
    code = f"import sys, {modules}; print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
