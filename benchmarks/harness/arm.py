"""One arm of a benchmark: a process that does a job for each line that it is sent, and answers how long it took.

Arms are processes so that a peer can live in an environment of its own, and so that memory is each one's own.
Standard library alone: it runs in every environment.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

Job = Callable[[], dict[str, Any]]


def serve(prepare: Callable[[dict[str, Any]], tuple[dict[str, Job], dict[str, Any]]], packages: Sequence[str]) -> None:
    """Prepares the jobs from the task in argv[1] (JSON), says what it is, and does the job that each line names.

    `prepare` gives the jobs by name, and what else is worth saying, such as a batch size. An answer is a JSON line:
    the job's own, with `seconds` and `peak_bytes`, the most memory that the process has held so far.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not mix with the answers

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    jobs, facts = prepare(json.loads(sys.argv[1]))
    versions = {name: metadata.version(name) for name in packages}
    say({"jobs": list(jobs), "python": platform.python_version(), **versions, **facts})
    for line in sys.stdin:
        start = time.perf_counter()
        found = jobs[line.strip()]()
        seconds = time.perf_counter() - start
        say({"seconds": seconds, "peak_bytes": peak_bytes(), **found})


def require_device(wanted: str, found: str) -> None:
    """Raises RuntimeError where an arm would report the speed of another device: libraries fall back silently."""
    if wanted.lower() not in found.lower():
        raise RuntimeError(f"asked for {wanted}, but it runs on {found}")


def peak_bytes() -> int:
    """The most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the process was forked from
        return 1024 * int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def one_by_one(tag: Callable[[str], Any], texts: Sequence[str]) -> dict[str, Any]:
    """The latency of single texts, in ms."""
    taken = []
    for text in texts:
        start = time.perf_counter()
        tag(text)
        taken.append(1000 * (time.perf_counter() - start))
    taken.sort()
    return {"median_ms": statistics.median(taken), "p95_ms": taken[int(0.95 * len(taken))]}


def fastest(run: Callable[[int], Any], sizes: Sequence[int]) -> int:
    """The size, of a few, with which `run` is fastest: best of two."""
    seconds = dict.fromkeys(sizes, float("inf"))
    for _ in range(2):
        for size in sizes:
            start = time.perf_counter()
            run(size)
            seconds[size] = min(seconds[size], time.perf_counter() - start)
    return min(sizes, key=lambda size: seconds[size])
