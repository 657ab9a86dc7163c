"""The verdict and the summary of a run, as the ledger, the page, Prefect and the terminal show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fpplm.pipeline.changes import Change
from fpplm.report.scores import ModelScores
from fpplm.terminal.tables import markdown_table
from fpplm_core.errors import RegistryError
from fpplm_core.escaping import markdown

PAGES = "FPPLM_PAGES"  # variable with the address at which `fpplm up` serves the pages of reports/


@dataclass(frozen=True)
class Verdict:
    """The outcome of a run.

    `verdict` is promote, hold or reject; unchanged or skipped if there was nothing to judge; refused if Git, DVC or a
    remote has refused, failed after any other error. `model` is the digest of the judged bundle, `against` the version
    that was in production, `version` the one that was put into production.
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

    @classmethod
    def of_error(cls, error: BaseException) -> Verdict:
        """The verdict of a run that this error ended; notes of the error are further reasons."""
        reasons = [str(error) or "ended prematurely", *getattr(error, "__notes__", ())]
        return cls("refused" if isinstance(error, RegistryError) else "failed", reasons)


@dataclass(frozen=True)
class ChangesSince:
    """What changed since `since`, a version or a run with its date; `changes` is None if that cannot be read."""

    since: str
    changes: list[Change] | None


@dataclass(frozen=True)
class TrendPoint:
    """A model that was judged by a run of this folder, or registered by another clone, for the trends.

    `name` is its version, or the name of the run; `date` is ISO 8601; `words` are those of the training split;
    `seconds` is what the stages of the run took, `cpu_seconds` the time of all cores together. What nobody recorded is
    None.
    """

    name: str
    date: str
    verdict: str
    scores: ModelScores | None = None
    words: int | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    in_production: bool = False


@dataclass(frozen=True, kw_only=True)
class RunSummary(Verdict):
    """The verdict of a run, its stages, and the changes since others, as reports/run.json holds them.

    `compared` is empty for the first run, and None for one that ended before it was known what it is made of. `drift`
    describes how the data changed since the last finished run. `ran` and `seconds` are by stage. `trend` has the models
    so far, this one included, in the order of their dates.
    """

    run: str
    started: str
    ran: dict[str, bool]
    seconds: dict[str, float]
    compared: list[ChangesSince] | None = field(default_factory=list)  # earlier versions did not record these three
    drift: list[str] = field(default_factory=list)
    trend: list[TrendPoint] = field(default_factory=list)


def as_markdown(summary: RunSummary, scores: str) -> str:
    """`scores` is a line about the judged model, "" if there is none."""
    stages = [(name, "ran" if summary.ran.get(name) else "unchanged", s) for name, s in summary.seconds.items()]
    return "\n".join(
        [
            "## " + markdown(" ".join(filter(None, (summary.state, summary.version)))),
            *(f"- {markdown(line)}" for line in (*summary.reasons, scores) if line),
            *(line for one in summary.compared or () for line in changes_lines(one)),
            *(("\n## Changes\n\nThis is the first run.",) if summary.compared == [] else ()),
            *(f"\nData, since the last finished run: {markdown(change)}" for change in summary.drift),
            f"\n## Stages\n\n{markdown_table(('stage', '', 'seconds'), stages)}",
        ]
    )


def changes_lines(one: ChangesSince) -> Iterator[str]:
    """A heading and a table, in Markdown."""
    yield f"\n## Changes since {markdown(one.since)}\n"
    if one.changes:
        yield markdown_table(("", "", "before", "after"), [(c.kind, c.name, c.before, c.after) for c in one.changes])
    else:
        yield "Its bundle cannot be read." if one.changes is None else "None."
