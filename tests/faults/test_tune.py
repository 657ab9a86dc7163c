"""fpplm tune through the real stages, on a project with a tiny encoder: killed, resumed, written."""

import json
import time
from collections.abc import Callable

import yaml

from fpplm_core.params import load
from tests.project import Project, kill_group


def test_a_search_that_was_killed_goes_on_and_its_best_values_are_trained(make_project: Callable[[], Project]) -> None:
    project = make_project()
    (project.path / "space.yaml").write_text(yaml.safe_dump({"train.lr": {"low": 1e-5, "high": 1e-2}}))
    command = ("fpplm", "tune", "--trials", "2", "--space", "space.yaml", "--workers", "2")
    ledger = project.path / ".fpplm/tune/runs.jsonl"
    process = project.start(*command)
    while not ledger.exists():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    kill_group(process)
    kept = ledger.read_bytes()
    before = (project.path / "params.yaml").read_text()

    shown = project.ok(*command)
    assert ledger.read_bytes().startswith(kept) and ("to set them" in shown or "no trial is better" in shown)
    assert (project.path / "params.yaml").read_text() == before
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert sorted(row["trial"] for row in rows) == [0, 1, 2] and not any("test" in row for row in rows)
    assert [row["values"] for row in rows if row["trial"] == 0] == [{}]

    written = project.ok(*command, "--write")
    assert "3 runs, 3 done" in written
    best = max((row for row in rows if not row["pruned"]), key=lambda row: (row["dev_f1"], -row["trial"]))
    rate = load(project.path / "params.yaml").train.lr
    assert rate == best["values"].get("train.lr", yaml.safe_load(before)["train"]["lr"])
