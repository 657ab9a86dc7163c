"""fpplm tune through the real stages, on a project with a tiny encoder: killed, resumed, written."""

import json
from collections.abc import Callable

import yaml

from fpplm_core.params import load
from tests.project import Project, kill_group, wait_until


def test_a_search_that_was_killed_goes_on_and_writes_its_best_values(make_project: Callable[[], Project]) -> None:
    project = make_project()
    project.set(train={"epochs": 2, "lr": 1e-9, "head_lr": 1e-9})  # which learn nothing: a drawn trial must win
    space = {"train.lr": {"low": 5e-4, "high": 5e-3}, "train.head_lr": [1e-2, 2e-2]}
    (project.path / "space.yaml").write_text(yaml.safe_dump(space))
    command = ("fpplm", "tune", "--trials", "2", "--space", "space.yaml", "--workers", "2")
    ledger = project.path / ".fpplm/tune/runs.jsonl"
    process = project.start(*command)
    wait_until(ledger.exists, process)
    kill_group(process)
    kept = ledger.read_bytes()
    before = (project.path / "params.yaml").read_text()

    shown = project.ok(*command)
    assert ledger.read_bytes().startswith(kept) and "to set them" in shown
    assert (project.path / "params.yaml").read_text() == before
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert sorted(row["trial"] for row in rows) == [0, 1, 2] and not any("test" in row for row in rows)
    assert [row["values"] for row in rows if row["trial"] == 0] == [{}]

    written = project.ok(*command, "--write")
    assert "3 runs, 3 done" in written
    best = max((row for row in rows if not row["pruned"]), key=lambda row: (row["dev_f1"], -row["trial"]))
    assert best["trial"] != 0
    train = load(project.path / "params.yaml").train
    assert {"train.lr": train.lr, "train.head_lr": train.head_lr} == best["values"]
