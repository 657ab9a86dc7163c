"""Tables that commands print: versions, runs, and how two models differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from fpplm.promotion import history
from fpplm.registry.git import git
from fpplm.registry.lineage import Lineage
from fpplm.registry.versions import STAGE, bundle_of, fetch, in_production, resolve, versions
from fpplm_core.evaluation.promotion import ChangedSentence
from fpplm_core.params import load
from fpplm_core.serving.bundle import Bundle, open_bundle
from fpplm_core.tagging.spans import Span


def models() -> str:
    """The registered versions, newest first."""
    fetch()
    production = in_production()
    rows = []
    for name, tag in reversed(versions().items()):
        test, data = scores_at(tag.commit), data_at(tag.commit)
        rows.append((name, STAGE if name == production else "", tag.date[:16].replace("T", " "), test, data))
    if not rows:
        return "no version yet; fpplm retrain --promote registers the first"
    return table(("version", "stage", "registered", "test F1", "data"), rows)


def scores_at(commit: str) -> str:
    test = json.loads(git("show", f"{commit}:./metrics/evaluate.json"))["test"]
    return f"{test['f1']:.4f} [{test['f1_low']:.4f}, {test['f1_high']:.4f}]"


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
        reason = run.reasons[0] if run.reasons else ""
        rows.append((run.started[:19].replace("T", " "), took, ",".join(ran) or "-", run.state, reason))
    return table(("started", "took", "ran", "verdict", "why"), rows) if rows else "no run yet; start one: fpplm retrain"


def diff(before: str, after: str, limit: int) -> str:
    """What changed from one model to another, and its effect on the current test split; `limit` rows of each list."""
    from fpplm.promotion.comparison import compare

    old, new = open_model(before), open_model(after)
    changes = Lineage.from_manifest(old.manifest).diff(Lineage.from_manifest(new.manifest))
    rows: list[tuple[str, ...]] = [*changes]
    shown = rows[: limit or None]
    parts = [table(("what", "", before, after), shown) if rows else "same parameters, data and code"]
    parts += more(rows, shown)
    comparison = compare(new.path, old.path, load())
    rules = [(rule.name, f"{rule.value:.4g}", f"{rule.bound:.4g}", rule.outcome) for rule in comparison.rules]
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
    return f"\n{' '.join(example.words)}\n  gold {gold}\n  before {before}\n  after {after}"


def open_model(name: str) -> Bundle:
    """Opens the bundle of a version or in a folder. Raises DataError, RegistryError, BundleError."""
    return open_bundle(name if Path(name).is_dir() else bundle_of(resolve(name)))


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Formats columns as wide as their content; nothing is truncated, because users grep and pipe these lines."""
    widths = [max(len(str(row[n])) for row in (head, *rows)) for n in range(len(head))]
    return "\n".join(
        "  ".join(str(c).ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    )
