"""Training and prediction alone and beside a neighbour: a second training or prediction on the same cores.

Each round measures both alone, then beside each neighbour, which is paused otherwise. With fair scheduling, each would
have half of its speed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.harness import machine
from benchmarks.harness.tagger import prepare
from benchmarks.harness.turns import FOLDER, Arm, ratios, spread

ARMS = Path(__file__).parents[1] / "arms"
WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
JOBS = {"train": "train", "predict": "corpus"}  # the job that a neighbour repeats
Rates = dict[str, float]  # rates per second, by what is measured


def start(kind: str, variant: str, log: str) -> Arm:
    task: dict[str, Any] = {"device": "cpu"}
    if kind == "train":
        task |= {"techniques": [], "batch_pieces": 256, "precision": "auto"}
    else:
        task |= {"folder": str(FOLDER), "variant": variant}
    return Arm(sys.executable, ARMS / f"fpplm_{kind}.py", task, FOLDER / f"{log}.log")


def rates(arms: dict[str, Arm], words: int) -> Rates:
    """Words/s of training and of prediction, and texts/s of prediction with one text at a time."""
    trained, tagged, each = arms["train"].ask("train"), arms["predict"].ask("corpus"), arms["predict"].ask("each")
    return {
        "train": trained["words"] / trained["seconds"],
        "predict": words / tagged["seconds"],
        "predict, one text at a time": 1000 / each["median_ms"],
    }


def keep_busy(arm: Arm, job: str) -> None:
    """Makes a neighbour repeat a job until it is killed; it does nothing while it is paused."""

    def work() -> None:
        with suppress(RuntimeError):
            while True:
                arm.ask(job)

    threading.Thread(target=work, daemon=True).start()


@contextmanager
def beside(neighbour: Arm) -> Iterator[None]:
    os.kill(neighbour.process.pid, signal.SIGCONT)
    time.sleep(1)
    yield
    os.kill(neighbour.process.pid, signal.SIGSTOP)
    if neighbour.process.poll() is not None:
        raise RuntimeError(f"the neighbour ended; see {neighbour.log}")


def measure(variant: str, words: int, rounds: int) -> dict[str, list[Rates]]:
    """The rates of each round: alone, and beside each neighbour."""
    arms = {kind: start(kind, variant, kind) for kind in JOBS}
    neighbours = {f"beside {kind}": start(kind, variant, f"beside-{kind}") for kind in JOBS}
    try:
        for neighbour, job in zip(neighbours.values(), JOBS.values(), strict=True):
            os.kill(neighbour.process.pid, signal.SIGSTOP)
            keep_busy(neighbour, job)
        found: dict[str, list[Rates]] = {name: [] for name in ("alone", *neighbours)}
        for turn in range(rounds):
            found["alone"].append(rates(arms, words))
            for name, neighbour in neighbours.items():
                with beside(neighbour):
                    found[name].append(rates(arms, words))
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    finally:
        for arm in (*arms.values(), *neighbours.values()):
            arm.process.kill()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variant", default="int8")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that paused neighbours are killed too
    words = prepare(FOLDER)
    began, load = time.strftime("%Y-%m-%d %H:%M"), os.getloadavg()[0]
    found = measure(options.variant, words, options.rounds)
    alone = found["alone"]
    shares = {
        f"{what}, {name}": ratios((row[what] for row in rows), (row[what] for row in alone))
        for name, rows in found.items()
        if name != "alone"
        for what in alone[0]
    }
    result = {
        "began": began,
        "load_average_before": load,
        "variant": options.variant,
        "waiting": {name: os.environ.get(name) for name in WAITING},
        "per_s_alone": {what: spread(row[what] for row in alone) for what in alone[0]},
        "share_of_alone": shares,
        "runs": found,
    }
    machine.save("neighbour.json", result)
    for what, (low, middle, high) in shares.items():
        print(f"{what:<45}{middle:>6.0%}  [{low:.0%}, {high:.0%}]")


if __name__ == "__main__":
    main()
