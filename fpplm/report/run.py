"""The summary of a run, as the page, Prefect and the terminal show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fpplm_core.escaping import markdown

PAGES = "FPPLM_PAGES"  # variable with the address at which `fpplm up` serves the pages of reports/


@dataclass(frozen=True)
class RunChange:
    """A difference in an input of the model from the previous run; `before` and `after` describe it."""

    kind: str
    name: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The changes since the previous run, the stages and the verdict, as reports/run.json holds them.

    `before` is when the previous run started, None if there was none; `ran` and `seconds` are by stage. `model` is the
    digest of the judged bundle, `against` the version that was in production, `version` the one that was put into it.
    """

    run: str
    started: str
    before: str | None
    changes: list[RunChange]
    drift: list[str] = field(default_factory=list)  # earlier versions did not record it
    ran: dict[str, bool]
    seconds: dict[str, float]
    verdict: str
    reasons: list[str]
    model: str | None = None
    against: str | None = None
    version: str | None = None

    @property
    def state(self) -> str:
        """The verdict in one word."""
        return "promoted" if self.verdict == "promote" and self.version else self.verdict


def as_markdown(summary: RunSummary) -> str:
    since = f"since {summary.before}" if summary.before else "this is the first run"
    changes = [(c.kind, c.name, c.before, c.after) for c in summary.changes]
    stages = [(name, "ran" if summary.ran.get(name) else "unchanged", s) for name, s in summary.seconds.items()]
    return "\n".join(
        [
            "## " + markdown(" ".join(filter(None, (summary.state, summary.version)))),
            *(f"- {markdown(reason)}" for reason in summary.reasons),
            f"\n## Changes, {markdown(since)}\n\n{markdown_table(('', '', 'before', 'after'), changes)}",
            *(f"\nData: {markdown(change)}" for change in summary.drift),
            f"\n## Stages\n\n{markdown_table(('stage', '', 'seconds'), stages)}",
        ]
    )


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that shows its cells as they are, whatever is in them."""
    lines = [f"| {' | '.join(markdown(str(cell)) for cell in row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], f"|{' --- |' * len(head)}", *lines[1:]])
