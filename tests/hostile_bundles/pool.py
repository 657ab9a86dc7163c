"""Makes bundles of every kind and has worker processes load them; a worker that hangs or dies is replaced."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.hostile_bundles import files, graphs, values
from tests.hostile_bundles.tiny import reseal, write_tiny_bundle

ROOT = Path(__file__).resolve().parents[2]
HANG = 60.0  # s; a graph is ended after two
Kind = Callable[[Path, Random], dict[str, Any]]


def graph_kind(spoil: Callable[[Path, Random], None]) -> Kind:
    """A bundle with a spoilt graph, the label language model's at times, sealed anew."""

    def make(folder: Path, random: Random) -> dict[str, Any]:
        own = spoil in (graphs.cut, graphs.flipped, graphs.not_onnx) and random.random() < 0.3
        spoil(folder / ("label_lm.onnx" if own else "onnx/model.onnx"), random)
        reseal(folder)
        return {}

    return make


# What each kind must come to: refused, answers (those of the whole bundle), or either (refused, or consistent answers).
KINDS: dict[str, tuple[str, Kind]] = {
    **{
        kind.__name__: ("refused", kind)
        for kind in (
            files.foreign_name, files.strange_manifest, files.twin_names, files.no_file, files.unlisted,
            files.linked_folder, files.changed_byte, files.swapped, files.pinned, values.words, values.labels,
            values.transitions, values.sizes, values.label_lm, values.variants, values.graph_files, values.json_text,
        )
    },
    **{
        kind.__name__: ("answers", kind)
        for kind in (
            files.untouched, files.signed, files.blanks, files.golden, values.huge_text, values.truncation,
        )
    },
    **{
        kind.__name__: ("either", kind)
        for kind in (
            files.link, files.resealed_bytes, values.any_value, values.tokenizer_part, values.tokenizer_map,
            values.special_pieces, values.tokenizer_model,
        )
    },
    **{f"graph_{spoil.__name__}": ("either", graph_kind(spoil)) for spoil in graphs.GRAPHS},
    "graph_external": ("refused", graph_kind(graphs.external)),
}  # fmt: skip
SLOW_KINDS: dict[str, tuple[str, Kind]] = {"graph_never_ends": ("refused", graph_kind(graphs.never_ends))}
WEIGHTS = {"resealed_bytes": 6, "graph_flipped": 4, "graph_cut": 3, "changed_byte": 2, "tokenizer_part": 2}
NEVER_ENDS = 0.01  # share of bundles


@dataclass
class Summary:
    """The outcomes of a run, by kind; `faults` are the bundles that did not come to what they must, with the reason."""

    seed: str
    bundles: int = 0
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    restarts: int = 0
    slowest: list[tuple[float, str]] = field(default_factory=list)
    megabytes: int = 0

    def add(self, name: str, expected: str, number: int, result: dict[str, Any]) -> None:
        outcome = result["outcome"]
        right = outcome == expected or (expected == "either" and outcome in ("refused", "answers"))
        if outcome == "answers" and expected == "answers" and not result["same"]:
            right, outcome = False, "other answers"
        if result.get("noted"):
            right, outcome = False, "outside"
        self.bundles += 1
        counts = Counter(self.outcomes.get(name, {}))
        counts[outcome] += 1
        self.outcomes[name] = dict(sorted(counts.items()))
        self.restarts += result["outcome"] in ("hang", "crash")
        if not right:
            about = {key: result[key] for key in ("message", "noted") if result.get(key)}
            self.faults.append({"number": number, "kind": name, "expected": expected, "outcome": outcome, **about})
        self.slowest = sorted([*self.slowest, (result.get("seconds", HANG), f"{number} {name}")], reverse=True)[:10]
        self.megabytes = max(self.megabytes, result.get("megabytes", 0))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"


def choose(seed: str, number: int) -> tuple[str, str, Kind, Random]:
    """The kind of a bundle, what it must come to, and the numbers that it is made with."""
    random = Random(f"{seed}/{number}")
    if random.random() < NEVER_ENDS:
        ((name, (expected, kind)),) = SLOW_KINDS.items()
    else:
        name = random.choices(list(KINDS), [WEIGHTS.get(name, 1) for name in KINDS])[0]
        expected, kind = KINDS[name]
    return name, expected, kind, random


class Worker:
    """A process that loads bundles."""

    def __init__(self, base: Path, command: Iterable[str] = ()) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [*command, sys.executable, "-m", "tests.hostile_bundles.worker", str(base)],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, bufsize=0,
        )  # fmt: skip
        assert self.answer(), "the worker does not start"

    def answer(self) -> dict[str, Any] | None:
        """Its next line; None if it has died or is silent for HANG seconds."""
        assert self.process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], HANG)[0]:
                return None
            part = self.process.stdout.read(1 << 20)
            if not part:
                return None
            line += part
        return dict(json.loads(line))

    def load(self, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has died
            self.process.stdin.write(json.dumps({"folder": str(folder), "options": options}).encode() + b"\n")
        result = self.answer()
        if result is None:
            died = self.process.poll()
            result = {
                "outcome": "hang" if died is None else "crash",
                "message": f"exit {died}",
                "seconds": HANG if died is None else 0,
            }
        return result

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def run(numbers: Iterable[int], seed: str, work: Path, summary: Summary, workers: int = 2) -> Iterator[int]:
    """Makes the bundles with these numbers and has them loaded; yields each number when its outcome is in `summary`."""
    base, own, started = write_tiny_bundle(work / "base"), threading.local(), list[Worker]()

    def start() -> None:
        own.worker = Worker(base)
        started.append(own.worker)

    def load(number: int) -> tuple[str, str, int, dict[str, Any]]:
        place = work / f"case{number}"
        folder = Path(shutil.copytree(base, place / "bundle"))
        name, expected, kind, random = choose(seed, number)
        options = kind(folder, random)
        expected = options.pop("expect", expected) or "either"
        result = own.worker.load(folder, options)
        if result["outcome"] in ("hang", "crash"):
            own.worker.end()
            start()
        shutil.rmtree(place)
        return name, expected, number, result

    try:
        with ThreadPoolExecutor(workers, initializer=start) as threads:
            for outcome in threads.map(load, numbers):
                summary.add(*outcome)
                yield outcome[2]
    finally:
        for worker in started:
            worker.end()
