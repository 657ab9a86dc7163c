"""`fpplm diff`: how two models differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple

from fpplm.cli.common import bundle_named
from fpplm.promotion.data_changes import diff_data
from fpplm.registry.lineage import Lineage
from fpplm.report.console import comparison_section
from fpplm.terminal.tables import Section
from fpplm_core.data.diff import DataDiff
from fpplm_core.errors import DataError, RegistryError
from fpplm_core.params import load
from fpplm_core.serving.bundle import open_bundle
from fpplm_core.tagging.spans import Span

MENTIONS = ("before", "after", "added", "removed", "moved", "re-typed to", "re-typed from", "arrived", "left")
SENTENCES = ("before", "after", "added", "removed", "moved in", "moved out", "corrected")


def model_sections(before: str, after: str, limit: int) -> Iterator[Section]:
    """What changed from one model to another, and its effect on the current test split; `limit` rows of each list."""
    from fpplm.promotion.comparison import compare

    settings = load()
    old, new = (open_bundle(bundle_named(name), allow_links=True) for name in (before, after))
    changes = Lineage.from_manifest(old.manifest).diff(Lineage.from_manifest(new.manifest))
    if changes:
        head = ("what", "", before, after)
        yield Section("parameters, data and code", head, *cut([astuple(change) for change in changes], limit))
    else:
        yield Section("same parameters, data and code")
    try:
        yield from data_sections(before, after, limit)
    except (DataError, RegistryError) as error:
        yield Section(f"the data were not compared: {error}")
    comparison = compare(new.path, old.path, settings)
    f1 = f"{before} {comparison.f1['incumbent']:.4f}, {after} {comparison.f1['candidate']:.4f}"
    title, rule = f"served F1 on the current test split: {f1}", f"rule, {after} for {before}"
    yield comparison_section(title, comparison, rule)
    if comparison.examples:
        examples = [
            (*(in_words(one.words, *spans) for spans in (one.gold, one.before, one.after)), " ".join(one.words))
            for one in comparison.examples
        ]
        head = ("gold", "before", "after", "sentence")
        yield Section("sentences with different predictions", head, *cut(examples, limit), stacked=True)


def data_sections(before: str, after: str, limit: int) -> Iterator[Section]:
    """What changed in the data from one model to another. Raises DataError or RegistryError if a corpus is missing."""
    yield from changes_of(diff_data(before, after, limit or None))


def changes_of(found: DataDiff) -> Iterator[Section]:
    """What changed in the data: sentences and mentions by split and type, then examples with file and line."""
    if found.is_empty:
        yield Section(f"same sentences and mentions in {found.before} and {found.after}")
        return
    counts = [(name, *map(str, astuple(split)[:-1])) for name, split in found.splits.items()]
    yield Section(f"data, from {found.before} to {found.after}", ("sentences", *SENTENCES), counts)
    types = [
        (f"{name} {kind}", *map(str, astuple(row)))
        for name, split in found.splits.items()
        for kind, row in split.types.items()
        if any(astuple(row)[2:])
    ]
    if types:
        yield Section("mentions by split and type", ("mentions", *MENTIONS), types)
    if found.mentions:
        rows = [
            (m.place, m.split, m.kind, in_words(m.words, m.before), in_words(m.words, m.after), " ".join(m.words))
            for m in found.mentions
        ]
        head = ("where", "split", "change", "before", "after", "sentence")
        yield Section("mentions of sentences that both have", head, rows, missing(found.changed_mentions - len(rows)))
    if found.sentences:
        places = [(s.place, s.before or "-", s.after or "-", " ".join(s.words)) for s in found.sentences]
        note = missing(found.changed_sentences - len(places))
        yield Section("sentences that are new, gone or moved", ("where", "before", "after", "sentence"), places, note)


def in_words(words: Sequence[str], *spans: Span | None) -> str:
    return ", ".join(f"{' '.join(words[s.start : s.end])} [{s.type}]" for s in spans if s) or "-"


def cut(rows: Sequence[tuple[str, ...]], limit: int) -> tuple[Sequence[tuple[str, ...]], str]:
    """The first rows, 0 for all, and a note on the others."""
    shown = rows[: limit or None]
    return shown, missing(len(rows) - len(shown))


def missing(rows: int) -> str:
    return f"… and {rows:,} more; fpplm diff --limit 0 shows all" if rows else ""
