"""The runs of this folder: what each changed, did, took and decided, a JSON line an event."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from fpplm.pipeline.paths import SCRATCH
from fpplm.registry import lineage

LEDGER = SCRATCH / "runs.jsonl"


class Verdict(NamedTuple):
    """What a run came to: promote, hold, reject; unchanged, skipped, failed where there was nothing to judge.

    `model` is the digest of the judged bundle, `against` the version that was in production, `version` the one that has
    come into production.
    """

    verdict: str
    reasons: list[str]
    model: str | None = None
    against: str | None = None
    version: str | None = None


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Run:
    """A run that is under way; `ran` says of each stage whether it had anything to do."""

    name: str
    began: float
    ran: dict[str, bool] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def begin(cls, **facts: Any) -> Run:
        run = cls(uuid.uuid4().hex[:8], time.perf_counter())
        run.note(started=now(), pid=os.getpid(), host=socket.gethostname(), **facts)
        return run

    def note(self, **facts: Any) -> None:
        add(self.name, **facts)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = round(time.perf_counter() - start, 1)

    def end(self, verdict: Verdict) -> None:
        took = round(time.perf_counter() - self.began, 1)
        self.note(ended=now(), took=took, ran=self.ran, seconds=self.seconds, **verdict._asdict())


def add(run: str, **facts: Any) -> None:
    """Appends an event of a run; it is on the disk when this returns."""
    LEDGER.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"run": run, **facts}, ensure_ascii=False)
    with LEDGER.open("ab+") as stream:
        stream.seek(0, os.SEEK_END)
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":  # a run was killed in the middle of its line
                line = "\n" + line
        stream.write(line.encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def runs(path: Path = LEDGER) -> list[dict[str, Any]]:
    """All runs in order, all that is known of each in one; one without `ended` runs still, or was killed."""
    found: dict[str, dict[str, Any]] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
                found.setdefault(event["run"], {}).update(event)
            except (ValueError, KeyError, TypeError):
                continue  # cut by a kill
    return list(found.values())


def state(run: Mapping[str, Any]) -> str:
    """The verdict in a word; of a run that has not ended, whether it still works."""
    if "verdict" in run:
        return f"{run['verdict']}d" if run["verdict"] == "promote" and run.get("version") else str(run["verdict"])
    here = run.get("host") == socket.gethostname()
    return "running" if here and psutil.pid_exists(int(run.get("pid", -1))) else "killed"


def drift(run: Run, threshold: float) -> list[str]:
    """How the data differ from those of the last run that checked its own, in words; `threshold` as check.drift."""
    from fpplm_core.quality import split_table  # takes a second

    checked = [one["statistics"] for one in runs() if "statistics" in one and one["run"] != run.name]
    own = next((one.get("statistics") for one in runs() if one["run"] == run.name), None)
    return split_table.drift(checked[-1], own, threshold) if checked and own else []


def summary(run: Run, verdict: Verdict, threshold: float) -> dict[str, Any]:
    """What the page of a run shows: what changed since the run before it, the seconds of its stages, the verdict."""
    every = runs()
    own = next(one for one in every if one["run"] == run.name)
    before = [one for one in every if "facts" in one and one["run"] != run.name]
    changed = lineage.between(before[-1]["facts"], own["facts"]) if before and "facts" in own else []
    return {
        "run": run.name,
        "started": own["started"],
        "before": before[-1]["started"] if before else None,
        "changes": [change._asdict() for change in changed],
        "drift": drift(run, threshold),
        "ran": run.ran,
        "seconds": run.seconds,
        **verdict._asdict(),
    }


def markdown(found: Mapping[str, Any]) -> str:
    """The same for Prefect."""
    since = f"since {found['before']}" if found["before"] else "this is the first run"
    changed = [f"| {c['kind']} | {c['name']} | {c['before']} | {c['after']} |" for c in found["changes"]]
    timed = [
        f"| {name} | {'ran' if found['ran'].get(name) else 'unchanged'} | {s} |" for name, s in found["seconds"].items()
    ]
    return "\n".join(
        [
            f"## {state(found)} {found['version'] or ''}",
            *(f"- {reason}" for reason in found["reasons"]),
            f"\n## Changes, {since}\n\n| | | before | after |\n| --- | --- | --- | --- |",
            *changed,
            *(f"\nData: {said}" for said in found["drift"]),
            "\n## Stages\n\n| stage | | seconds |\n| --- | --- | --- |",
            *timed,
        ]
    )
