"""fpplm ablate through the real stages, on a project with a tiny encoder."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from fpplm.studies.ledger import unpacked
from tests.project import Project

PLAN: dict[str, Any] = {
    "seeds": [1],
    "common": {"train.epochs": 1},
    "corpora": {"small": {"train_sentences": 30, "noise": 0.2}},
    "arms": {"plain": {"technique.active": []}, "no such encoder": {"model.encoder": "missing/folder"}},
}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_ablation_that_is_ended_leaves_nothing_behind(make_project: Callable[[], Project], number: int) -> None:
    project = make_project()
    plan = PLAN | {
        "common": {"train.epochs": 500, "train.patience": 500},
        "seeds": [1, 2, 3],
        "arms": {"plain": PLAN["arms"]["plain"]},
    }
    (project.path / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    process = project.start("fpplm", "ablate", "plan.yaml", "--results", "results", "--workers", "2")
    started: list[psutil.Process] = []
    while sum(map(trains, started)) < 2:
        assert process.poll() is None, "it ended before it could be killed"
        started = psutil.Process(process.pid).children()
        time.sleep(0.05)
    process.send_signal(number)
    process.wait(timeout=60)
    # Killed with -9 it can end nothing itself: its stages end by themselves, Prefect's temporary server cannot.
    left = [child for child in started if number == signal.SIGTERM or trains(child)]
    assert not psutil.wait_procs(left, timeout=30)[1]


def trains(process: psutil.Process) -> bool:
    """Whether it is a training stage; what has ended and is not yet cleared away is none."""
    try:
        return "tasks.train" in process.cmdline()
    except psutil.Error:
        return False


def test_runs_are_kept_and_a_failed_one_loses_nothing(make_project: Callable[[], Project]) -> None:
    project = make_project()
    (project.path / "plan.yaml").write_text(yaml.safe_dump(PLAN, sort_keys=False))
    command = ("fpplm", "ablate", "plan.yaml", "--results", "results")
    done = project.run(*command)
    assert done.returncode != 0
    assert "small, no such encoder, seed 1: tasks.encode failed" in done.stderr and "Traceback" not in done.stderr
    (line,) = (project.path / "results/runs.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert (row["arm"], row["seed"], len(row["curve"])) == ("plain", 1, 1) and not {"test", "counts"} & row.keys()
    assert row["seconds"] > 0 and row["peak_mb"] > 0

    mended = PLAN | {"arms": {"plain": PLAN["arms"]["plain"]}}
    (project.path / "plan.yaml").write_text(yaml.safe_dump(mended, sort_keys=False))
    again = project.ok(*command)
    assert "1 runs, 1 done" in again and "| small | plain | 1 |" in again
    assert (project.path / "results/runs.jsonl").read_text().splitlines() == [line]
    assert (project.path / "results/plan.md").read_text().strip() in again


def test_a_cluster_adds_to_the_same_ledger(make_project: Callable[[], Project]) -> None:
    pytest.importorskip("ray")
    project = make_project()
    (project.path / "plan.yaml").write_text(yaml.safe_dump(PLAN | {"seeds": [1, 2]}, sort_keys=False))
    command = ("fpplm", "ablate", "plan.yaml", "--results", "results")
    # Without the guard: Ray asks for a cloud's metadata at an address that is not of this machine.
    done = project.run(*command, "--ray", "local", "--workers", "2", PYTHONPATH="")
    assert done.returncode != 0
    assert "small, no such encoder, seed 1: tasks.encode failed" in done.stderr and "Traceback" not in done.stderr
    rows = [json.loads(line) for line in (project.path / "results/runs.jsonl").read_text().splitlines()]
    assert sorted((row["arm"], row["seed"], len(row["curve"])) for row in rows) == [("plain", 1, 1), ("plain", 2, 1)]

    plan = PLAN | {"seeds": [1, 2], "arms": {"plain": PLAN["arms"]["plain"]}}
    (project.path / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    assert "2 runs, 2 done" in project.ok(*command)


def test_final_runs_start_from_committed_choices_alone(make_project: Callable[[], Project], tmp_path: Path) -> None:
    project = make_project()
    space = {"train.lr": {"low": 1e-4, "high": 1e-2}, "train.epochs": [2]}
    arms = {"plain": PLAN["arms"]["plain"]}
    plan = PLAN | {"common": {}, "arms": arms, "search": {"trials": 2, "space": space}, "compare": {"plain": ["plain"]}}
    (project.path / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    command = ("fpplm", "ablate", "plan.yaml", "--results", "results")
    # Nobody who looks only at dev can need the test file: it is not there.
    data = project.path / "data/wikigold"
    test = (data / "test.conll").rename(tmp_path / "test.conll")
    assert "| small | plain | 2 |" in project.ok(*command)
    rows = [json.loads(line) for line in (project.path / "results/runs.jsonl").read_text().splitlines()]
    assert [row["trial"] for row in rows] == [0, 1] and not any("test" in row or "counts" in row for row in rows)
    best = max(rows, key=lambda row: row["dev_f1"])
    choices = project.path / "results/plan.choices.yaml"
    assert yaml.safe_load(choices.read_text())["plain"]["small"]["values"] == best["values"]

    test.rename(data / "test.conll")
    refused = project.run(*command, "--final")
    assert refused.returncode != 0 and "not committed" in refused.stderr and "plan.choices.yaml" in refused.stderr
    project.commit()
    assert "## Test" in project.ok(*command, "--final")
    row = json.loads((project.path / "results/runs.jsonl").read_text().splitlines()[-1])
    assert row["choices"] == project.ok("git", "rev-parse", "HEAD").strip() and row["values"] == best["values"]
    assert 0 <= row["test"]["f1"] <= 1 and len(unpacked(row["counts"])) > 1 and "trial" not in row
