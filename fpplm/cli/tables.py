"""Tables that commands print: versions, runs, and how two models differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fpplm.promotion import history
from fpplm.registry.git import git
from fpplm.registry.lineage import Lineage
from fpplm.registry.repository import fetch, require_registry
from fpplm.registry.versions import STAGE, assignments, bundle_of, in_production, metrics_at, resolve, versions
from fpplm.report.scores import interval, served
from fpplm_core.escaping import printable
from fpplm_core.evaluation.promotion import ChangedSentence
from fpplm_core.params import load
from fpplm_core.serving.bundle import Bundle, open_bundle
from fpplm_core.tagging.spans import Span


def models() -> str:
    """The registered versions, newest first."""
    require_registry()
    fetch()
    production = in_production()
    digests = {run.version: run.model for run in history.runs() if run.version and run.model}
    rows = []
    for name, tag in reversed(versions().items()):
        stage, registered = STAGE if name == production else "", history.minute(tag.date)
        cpu = sum(history.cpu_seconds_of(digests[name]).values()) if name in digests else 0
        cells = (*scores_at(tag.commit), data_at(tag.commit), f"{cpu:,.0f} s" if cpu else "not measured")
        rows.append((name, stage, registered, *cells))
    if not rows:
        return "no version yet; fpplm retrain --promote registers the first"
    head = ("version", "stage", "registered", "served test F1", "trained test F1", "data", "CPU time")
    return table(head, rows)


def production() -> str:
    """What was in production, the last change first; Git's tags say it."""
    require_registry()
    fetch()
    rows = [(history.minute(a.date), a.who, a.before or "-", a.version, a.why) for a in reversed(assignments())]
    return table(("when", "who", "from", "to", "why"), rows) if rows else "nothing has been in production yet"


def scores_at(commit: str) -> tuple[str, str]:
    """The served and the trained F1 on the test split of a commit."""
    return served(metrics_at(commit, "verify")), interval(metrics_at(commit, "evaluate")["test"])


def data_at(commit: str) -> str:
    """DVC's hash of the data at a commit, shortened."""
    from ruamel.yaml import YAML

    reader = YAML(typ="safe", pure=True)
    path = str(reader.load(git("show", f"{commit}:./params.yaml"))["data"]["path"])
    stages = reader.load(git("show", f"{commit}:./dvc.lock"))["stages"]
    return f"{path} " + next(str(dep["md5"]) for dep in stages["read"]["deps"] if dep["path"] == path)[:8]


def runs(last: int) -> str:
    """The last runs, newest first."""
    rows = []
    for run in reversed(history.runs()[-last:]):
        ran = [name for name, did in run.ran.items() if did]
        took = "" if run.took is None else f"{run.took:.0f} s"
        rows.append((run.started[:19].replace("T", " "), took, ",".join(ran) or "-", run.state, "; ".join(run.reasons)))
    return table(("started", "took", "ran", "verdict", "why"), rows) if rows else "no run yet; start one: fpplm retrain"


def diff(before: str, after: str, limit: int) -> str:
    """What changed from one model to another, and its effect on the current test split; `limit` rows of each list."""
    from fpplm.promotion.comparison import compare

    settings = load()
    old, new = open_model(before), open_model(after)
    changes = Lineage.from_manifest(old.manifest).diff(Lineage.from_manifest(new.manifest))
    rows: list[tuple[str, ...]] = [*changes]
    shown = rows[: limit or None]
    parts = [table(("what", "", before, after), shown) if rows else "same parameters, data and code"]
    parts += more(rows, shown)
    comparison = compare(new.path, old.path, settings)
    f1 = f"{before} {comparison.f1['incumbent']:.4f}, {after} {comparison.f1['candidate']:.4f}"
    rules = [(rule.name, f"{rule.value:.4g}", f"{rule.bound:.4g}", rule.outcome) for rule in comparison.rules]
    parts.append(f"\nserved F1 on the current test split: {f1}")
    parts.append("\n" + table((f"rule, {after} for {before}", "value", "bound", "outcome"), rules))
    examples = comparison.examples[: limit or None]
    return "\n".join([*parts, *map(example_lines, examples), *more(comparison.examples, examples)])


def more(rows: Sequence[object], shown: Sequence[object]) -> list[str]:
    """The line after a list that was cut."""
    return [f"… and {len(rows) - len(shown)} more; fpplm diff --limit 0 shows all"] if len(rows) > len(shown) else []


def example_lines(example: ChangedSentence) -> str:
    def spans_in_words(spans: Sequence[Span]) -> str:
        return ", ".join(f"{' '.join(example.words[s.start : s.end])} [{s.type}]" for s in spans) or "nothing"

    gold, before, after = map(spans_in_words, (example.gold, example.before, example.after))
    lines = (" ".join(example.words), f"  gold {gold}", f"  before {before}", f"  after {after}")
    return "\n" + "\n".join(map(printable, lines))


def open_model(name: str) -> Bundle:
    """Opens the bundle of a version or in a folder. Raises DataError, RegistryError, BundleError."""
    return open_bundle(name if Path(name).is_dir() else bundle_of(resolve(name)), allow_links=True)


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Formats columns as wide as their content; nothing is truncated, because users grep and pipe these lines."""
    shown = [[printable(str(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[n]) for row in shown) for n in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in shown)
