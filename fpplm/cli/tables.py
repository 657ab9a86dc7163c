"""Tables that commands print: versions and runs."""

from __future__ import annotations

from fpplm.pipeline.paths import PARAMS
from fpplm.pipeline.start import PRODUCTION
from fpplm.promotion import history
from fpplm.proof.cost import cpu_seconds_of
from fpplm.registry.git import committed_yaml
from fpplm.registry.repository import fetch, require_registry
from fpplm.registry.versions import assignments, in_production, metrics_at, versions
from fpplm.report.scores import interval, served
from fpplm.terminal.tables import table
from fpplm_core.errors import RegistryError


def models() -> str:
    """The registered versions, newest first."""
    require_registry()
    fetch()
    production = in_production()
    digests = {run.version: run.model for run in history.runs() if run.version and run.model}
    rows = []
    for name, tag in reversed(versions().items()):
        stage, registered = PRODUCTION if name == production else "", history.minute(tag.date)
        cpu = sum(cpu_seconds_of(digests[name]).values()) if name in digests else 0
        try:
            facts = (*scores_at(tag.commit), data_at(tag.commit))
        except (RegistryError, ValueError, TypeError, LookupError, StopIteration):  # GTO registers any commit
            facts = ("–",) * 3
        rows.append((name, stage, registered, *facts, f"{cpu:,.0f} s" if cpu else "not measured"))
    if not rows:
        return "no version yet; fpplm retrain --promote registers the first"
    head = ("version", "stage", "registered", "served test F1", "trained test F1", "data", "CPU time")
    return table(head, rows)


def production() -> str:
    """The versions that were in production, the last change first, from Git's tags."""
    require_registry()
    fetch()
    rows = [(history.minute(a.date), a.who, a.before or "-", a.version, a.why) for a in reversed(assignments())]
    return table(("when", "who", "from", "to", "why"), rows) if rows else "nothing has been in production yet"


def scores_at(commit: str) -> tuple[str, str]:
    """The served and the trained F1 on the test split of a commit."""
    return served(metrics_at(commit, "verify")), interval(metrics_at(commit, "evaluate")["test"])


def data_at(commit: str) -> str:
    """DVC's hash of the data at a commit, shortened."""
    path = str(committed_yaml(commit, str(PARAMS))["data"]["path"])
    stages = committed_yaml(commit, "dvc.lock")["stages"]
    return f"{path} " + next(str(dep["md5"]) for dep in stages["read"]["deps"] if dep["path"] == path)[:8]


def runs(last: int) -> str:
    """The last runs, newest first."""
    rows = []
    for run in reversed(history.runs()[-last:]):
        ran = [name for name, did in run.ran.items() if did]
        took = "" if run.took is None else f"{run.took:.0f} s"
        rows.append((run.started[:19].replace("T", " "), took, ",".join(ran) or "-", run.state, "; ".join(run.reasons)))
    return table(("started", "took", "ran", "verdict", "why"), rows) if rows else "no run yet; start one: fpplm retrain"
