"""Arms in turn: how `fpplm bench` starts them, asks them A B A B …, and what it makes of their answers."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(".fpplm/bench")
Answers = dict[str, dict[str, list[dict[str, Any]]]]  # by arm and job, one a round


class Arm:
    """A running arm (benchmarks/harness/arm.py); `facts` is what it says of itself."""

    def __init__(self, python: str, script: Path, task: Mapping[str, Any], log: Path) -> None:
        self.log = log
        self.process = subprocess.Popen(
            [python, str(script), json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
        )
        self.facts = self._answer()

    def ask(self, job: str) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(job + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"it ended; see {self.log}")
        return dict(json.loads(line))


def in_turn(arms: Mapping[str, Arm], rounds: int, warm_up: int) -> Answers:
    """The answers by arm and job, asked in turn: A B A B …; the first `warm_up` rounds are not kept."""
    found: Answers = {name: {job: [] for job in arm.facts["jobs"]} for name, arm in arms.items()}
    for turn in range(-warm_up, rounds):
        for name, arm in arms.items():
            for job, answers in found[name].items():
                answer = arm.ask(job)
                if turn >= 0:
                    answers.append(answer)
        print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def start(arms: Mapping[str, tuple[str, Path, Mapping[str, Any]]]) -> dict[str, Arm]:
    """Those that start; of the others it says where to look."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    started = {}
    for name, (python, script, task) in arms.items():
        try:
            started[name] = Arm(python, script, task, FOLDER / f"{name}.log")
        except RuntimeError as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
    return started


def spread(values: Iterable[float]) -> list[float]:
    """The lowest, the median, the highest."""
    known = sorted(values)
    return [known[0], statistics.median(known), known[-1]]


def ratios(ours: Iterable[float], theirs: Iterable[float]) -> list[float]:
    """The spread of ours / theirs over the rounds, each round's own pair."""
    return spread(a / b for a, b in zip(ours, theirs, strict=True))


def floor(answers: Answers) -> dict[str, float]:
    """What the machine reached at best, over all rounds: flops by number format, and bytes_per_s of copying."""
    return {
        job: max(value for one in rows for key, value in one.items() if key in ("flops", "bytes_per_s"))
        for job, rows in answers.pop("floor").items()
    }
