"""`fpplm diff`: how two models differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fpplm.cli.tables import table
from fpplm.registry.lineage import Lineage
from fpplm.registry.versions import bundle_of, resolve
from fpplm_core.escaping import printable
from fpplm_core.evaluation.promotion import ChangedSentence
from fpplm_core.params import load
from fpplm_core.serving.bundle import Bundle, open_bundle
from fpplm_core.tagging.spans import Span


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
