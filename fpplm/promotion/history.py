"""The ledger of this folder's runs, with changes, stages, times and verdicts, as one JSON line per event."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from fpplm.pipeline.paths import SCRATCH
from fpplm.registry.lineage import Lineage
from fpplm.report.run import RunChange, RunSummary

LEDGER = SCRATCH / "runs.jsonl"


class Verdict(NamedTuple):
    """The outcome of a run: promote, hold or reject; unchanged, skipped or failed if there was nothing to judge.

    `model` is the digest of the judged bundle, `against` the version that was in production, `version` the one that
    was put into production.
    """

    verdict: str
    reasons: list[str]
    model: str | None = None
    against: str | None = None
    version: str | None = None

    @property
    def state(self) -> str:
        """The verdict in one word: promoted if the model went into production."""
        return "promoted" if self.verdict == "promote" and self.version else self.verdict


INTERRUPTED_VERDICT = Verdict("failed", ["ended prematurely"])


@dataclass(frozen=True)
class RunRecord:
    """The ledger's record of a run; without `ended`, it is still running or was killed.

    `facts` is what the run started from, as in a bundle's manifest; `statistics` those of the data check, by split.
    `ran` has for each stage whether it had anything to do, `seconds` how long it took, `took` the seconds of all.
    """

    run: str
    started: str = ""
    pid: int = -1
    host: str = ""
    overrides: list[str] = field(default_factory=list)
    promote: bool = False
    facts: dict[str, Any] | None = None
    statistics: dict[str, Any] | None = None
    ended: str | None = None
    took: float | None = None
    ran: dict[str, bool] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    verdict: str | None = None
    reasons: list[str] = field(default_factory=list)
    model: str | None = None
    against: str | None = None
    version: str | None = None

    @property
    def state(self) -> str:
        """The verdict in one word; running or killed where there is none."""
        if self.verdict:
            return Verdict(self.verdict, self.reasons, version=self.version).state
        is_here = self.host == socket.gethostname()
        return "running" if is_here and psutil.pid_exists(self.pid) else "killed"


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Run:
    """A run that is under way; `ran` has for each stage whether it had anything to do."""

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


def runs(path: Path = LEDGER) -> list[RunRecord]:
    """All runs, in the order in which they began."""
    by_run: dict[str, dict[str, Any]] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
                by_run.setdefault(event["run"], {}).update(event)
            except (ValueError, KeyError, TypeError):
                continue  # truncated by a kill
    known = {fact.name for fact in fields(RunRecord)}  # another version of fpplm may have noted more
    return [RunRecord(**{key: value for key, value in run.items() if key in known}) for run in by_run.values()]


def drift(run: Run, threshold: float) -> list[str]:
    """How the data differ from those of the last run that checked its data; `threshold` is check.drift."""
    from fpplm_core.quality import split_table  # takes a second

    checked = [record.statistics for record in runs() if record.statistics and record.run != run.name]
    own = next((record.statistics for record in runs() if record.run == run.name), None)
    return split_table.drift(checked[-1], own, threshold) if checked and own else []


def summarise(run: Run, verdict: Verdict, threshold: float) -> RunSummary:
    """Summarises a run: changes since the previous run, the seconds of its stages, and the verdict."""
    records = runs()
    own = next(record for record in records if record.run == run.name)
    before = [record for record in records if record.facts and record.run != run.name]
    changes = []
    if before and before[-1].facts and own.facts:
        changes = Lineage.from_manifest(before[-1].facts).diff(Lineage.from_manifest(own.facts))
    return RunSummary(
        run=run.name,
        started=own.started,
        before=before[-1].started if before else None,
        changes=[RunChange(*change) for change in changes],
        drift=drift(run, threshold),
        ran=run.ran,
        seconds=run.seconds,
        **verdict._asdict(),
    )


def verdict_line(verdict: Verdict, promote: bool) -> str:
    """The verdict in one line, with advice."""
    reason = "; ".join(verdict.reasons)
    if verdict.version:
        return f"verdict  {verdict.version} is in production: {reason}"
    advice = "; fpplm retrain --promote registers it" if verdict.verdict == "promote" and not promote else ""
    return f"verdict  {verdict.verdict}: {reason}{advice}"
