"""The ledger of this folder's runs, with changes, stages, times and verdicts, as one JSON line per event."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from pydantic import TypeAdapter

from fpplm.pipeline.paths import SCRATCH
from fpplm.pipeline.start import PRODUCTION
from fpplm.promotion.trend import with_versions
from fpplm.registry.lineage import Lineage
from fpplm.registry.versions import assignments, manifest_of
from fpplm.report.run import ChangesSince, RunSummary, TrendPoint, Verdict
from fpplm.report.scores import ModelScores
from fpplm_core.errors import FpplmError
from fpplm_core.escaping import printable
from fpplm_core.files import append_json_line, read_json_lines

LEDGER = SCRATCH / "runs.jsonl"


JUDGED = ("promote", "hold", "reject")  # verdicts on a model
FINISHED = (*JUDGED, "unchanged")  # verdicts of runs that came to their end
INTERRUPTED_VERDICT = Verdict("failed", ["ended prematurely"])


@dataclass(frozen=True)
class RunRecord:
    """The ledger's record of a run; without `ended`, it is still running or was killed.

    `promotion` is that section of params.yaml, for the rules of the verdict.
    `facts` is what the run started from, as in a bundle's manifest; `statistics` those of the data check, by split;
    `scores` those of the verified model, as ModelScores.
    `ran` has for each stage whether it had anything to do, `seconds` how long it took, `took` the seconds of all, and
    `cpu_seconds` the time of all cores together.
    """

    run: str
    started: str = ""
    pid: int = -1
    host: str = ""
    overrides: list[str] = field(default_factory=list)
    promote: bool = False
    promotion: dict[str, Any] | None = None
    facts: dict[str, Any] | None = None
    statistics: dict[str, Any] | None = None
    scores: dict[str, Any] | None = None
    ended: str | None = None
    took: float | None = None
    ran: dict[str, bool] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    verdict: str | None = None
    reasons: list[str] = field(default_factory=list)
    model: str | None = None
    against: str | None = None
    version: str | None = None

    @property
    def point(self) -> TrendPoint:
        """The model that this run judged, for the trends."""
        scores = TypeAdapter(ModelScores).validate_python(self.scores) if self.scores else None
        words = self.statistics["train"]["words"] if self.statistics else None
        seconds = round(sum(self.seconds.values()), 1)
        cpu_seconds = round(sum(self.cpu_seconds.values()), 1) if self.cpu_seconds else None
        return TrendPoint(self.version or self.run, self.started, self.state, scores, words, seconds, cpu_seconds)

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
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def begin(cls, **facts: Any) -> Run:
        run = cls(uuid.uuid4().hex[:8], time.perf_counter())
        run.note(started=now(), pid=os.getpid(), host=socket.gethostname(), **facts)
        return run

    @classmethod
    @contextmanager
    def recorded(cls, **facts: Any) -> Iterator[Run]:
        """A run whose verdict, if an error ends the block, is that error."""
        run = cls.begin(**facts)
        try:
            yield run
        except BaseException as error:
            run.end(Verdict.of_error(error))
            raise

    def note(self, **facts: Any) -> None:
        add(self.name, **facts)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        start, cpu_start = time.perf_counter(), cpu_of_children()
        try:
            yield
        finally:
            self.seconds[stage] = round(time.perf_counter() - start, 1)
            self.cpu_seconds[stage] = round(cpu_of_children() - cpu_start, 1)

    def end(self, verdict: Verdict) -> None:
        took = round(time.perf_counter() - self.began, 1)
        times = {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
        self.note(ended=now(), took=took, ran=self.ran, **times, **asdict(verdict))


def cpu_of_children() -> float:
    """The CPU seconds of all processes that this one started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def add(run: str, **facts: Any) -> None:
    """Appends an event of a run; it is on the disk when this returns."""
    append_json_line(LEDGER, {"run": run, **facts})


def runs(path: Path = LEDGER) -> list[RunRecord]:
    """All runs, in the order in which they began."""
    by_run: dict[str, dict[str, Any]] = {}
    for event in read_json_lines(path):
        if isinstance(name := event.get("run"), str):
            by_run.setdefault(name, {}).update(event)
    known = {fact.name for fact in fields(RunRecord)}  # another version of fpplm may have noted more
    return [RunRecord(**{key: value for key, value in run.items() if key in known}) for run in by_run.values()]


def trend(records: Sequence[RunRecord]) -> list[TrendPoint]:
    """The models that these runs judged, and all registered versions, oldest first."""
    return with_versions([record.point for record in records if record.model and record.verdict in JUDGED])


def last_finished(without: str) -> RunRecord | None:
    """The last run that came to its end with a verdict, except this one; killed and failed runs do not count."""
    found = [run for run in runs() if run.run != without and run.facts and run.verdict in FINISHED]
    return found[-1] if found else None


def drift(run: Run, threshold: float) -> list[str]:
    """How the data differ from those of the last finished run; `threshold` is check.drift."""
    from fpplm_core.quality import split_table  # takes a second

    before = last_finished(without=run.name)
    own = next((record.statistics for record in runs() if record.run == run.name), None)
    return split_table.drift(before.statistics, own, threshold) if before and before.statistics and own else []


def summarise(run: Run, verdict: Verdict, threshold: float) -> RunSummary:
    """Summarises a run: its verdict, the seconds of its stages, and what changed since production and the last run."""
    known = {record.run: record for record in runs()}
    known[run.name] = own = replace(known[run.name], **asdict(verdict), ran=run.ran, seconds=run.seconds)
    now = Lineage.from_manifest(own.facts or {})
    return RunSummary(
        **asdict(verdict),
        run=run.name,
        started=own.started,
        ran=run.ran,
        seconds=run.seconds,
        compared=[*since_production(now, verdict), *since_last_finished(now, run)] if own.facts else None,
        drift=drift(run, threshold),
        trend=trend([*known.values()]),
    )


def since_production(now: Lineage, verdict: Verdict) -> Iterator[ChangesSince]:
    """From the version that was in production before this verdict; nothing if none was."""
    try:
        assigned = assignments()
    except FpplmError:  # no repository
        return
    version = verdict.against if verdict.model else assigned[-1].version if assigned else None
    if version is None:
        return
    dates = {one.version: one.date for one in assigned}  # the last one of each
    since = f"{version}, put into {PRODUCTION} {minute(dates[version])}"
    try:
        made = Lineage.from_manifest(manifest_of(version))
    except FpplmError:
        yield ChangesSince(since, None)
        return
    # A manifest has the last commit of the code, a run that of everything.
    yield ChangesSince(since, replace(made, commit=now.commit).diff(now))


def since_last_finished(now: Lineage, run: Run) -> Iterator[ChangesSince]:
    """Nothing if no run has finished before."""
    if before := last_finished(without=run.name):
        since = f"the last finished run, {minute(before.started)} ({before.state})"
        yield ChangesSince(since, Lineage.from_manifest(before.facts or {}).diff(now))


def minute(date: str) -> str:
    """An ISO 8601 date to the minute."""
    return date[:16].replace("T", " ")


def verdict_line(verdict: Verdict, promote: bool) -> str:
    """The verdict in one line, with advice."""
    reason = printable("; ".join(verdict.reasons))
    if verdict.version:
        return f"verdict  {verdict.version} is in production: {reason}"
    advice = "; fpplm retrain --promote registers it" if verdict.verdict == "promote" and not promote else ""
    return f"verdict  {verdict.verdict}: {reason}{advice}"
