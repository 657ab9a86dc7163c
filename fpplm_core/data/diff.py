"""How the annotations of one corpus differ from those of an earlier one: sentences, and the mentions in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, TypeVar

from fpplm_core.data.corpus import SPLITS, stream_corpus
from fpplm_core.data.pairing import Row, pair_mentions, pair_rows
from fpplm_core.tagging.spans import Span, spans_from_tags

MentionKind = Literal["added", "removed", "re-typed", "moved"]
SentenceKind = Literal["added", "removed", "moved"]


@dataclass(frozen=True)
class MentionChange:
    """A mention that changed in a sentence that both corpora have; None where a corpus lacks it.

    A moved mention has another boundary; a re-typed one may have both. `place` is file:line in the later corpus, or in
    the earlier one if the mention was removed; `split` is that of the later corpus.
    """

    kind: MentionKind
    split: str
    place: str
    words: Sequence[str]
    before: Span | None
    after: Span | None


@dataclass(frozen=True)
class SentenceChange:
    """A sentence that only one corpus has, or that moved from one split, `before`, to another, `after`."""

    kind: SentenceKind
    before: str | None
    after: str | None
    place: str
    words: Sequence[str]


@dataclass(frozen=True)
class TypeDiff:
    """What happened to the mentions of a type in a split.

    `added`, `removed`, `moved`, `to` and `out_of` (re-typed to this type, or from it to another) count mentions of
    sentences that both corpora have; `arrived` and `left` count those that came to the split, or left it, with their
    sentence. So `after` is `before` + `added` - `removed` + `to` - `out_of` + `arrived` - `left`.
    """

    before: int
    after: int
    added: int
    removed: int
    moved: int
    to: int
    out_of: int
    arrived: int
    left: int


@dataclass(frozen=True)
class SplitDiff:
    """What happened to the sentences of a split.

    `added` and `removed` sentences are in one corpus only. Those that `moved_in` or `moved_out` are in another split of
    the other corpus. `corrected` sentences are in both, with other mentions.
    """

    before: int
    after: int
    added: int
    removed: int
    moved_in: int
    moved_out: int
    corrected: int
    types: dict[str, TypeDiff]


@dataclass(frozen=True)
class DataDiff:
    """All changes, counted by split and type, and examples of them. `before` and `after` name the corpora."""

    before: str
    after: str
    splits: dict[str, SplitDiff]
    mentions: list[MentionChange]
    sentences: list[SentenceChange]

    @property
    def changed_mentions(self) -> int:
        """How many mentions changed in sentences that both corpora have."""
        types = (row for split in self.splits.values() for row in split.types.values())
        return sum(row.added + row.removed + row.moved + row.to for row in types)

    @property
    def changed_sentences(self) -> int:
        """How many sentences only one corpus has, or has in another split."""
        return sum(split.added + split.removed + split.moved_in for split in self.splits.values())

    @property
    def is_empty(self) -> bool:
        return not self.changed_mentions and not self.changed_sentences


_Tally = Counter[tuple[str, ...]]  # by split and field, or by split, type and field
_Item = TypeVar("_Item")


def diff_corpora(before: Path, after: Path, names: tuple[str, str], examples: int | None) -> DataDiff:
    """Compares the corpora in two folders; the result has `examples` of each kind in each split, all for None.

    Sentences are the same if their words are, so one in which a word changed counts as removed and added. Only the
    sentences that differ are held in memory. Raises DataError if a split is missing.
    """
    tally = _Tally()
    old, new = _count(before, tally, "before"), _count(after, tally, "after")
    mentions: list[MentionChange] = []
    sentences: list[SentenceChange] = []
    for pair in pair_rows(_pick(before, old - new), _pick(after, new - old)):
        changes = list(_mention_changes(*pair))
        mentions += changes
        sentences += _sentence_changes(*pair)
        _add(tally, *pair, changes)
    return DataDiff(
        *names,
        {split: _split_diff(split, tally) for split in SPLITS},
        _first(mentions, examples, lambda change: (change.split, change.kind)),
        _first(sentences, examples, lambda change: (change.before, change.after)),
    )


def _rows(folder: Path) -> Iterator[Row]:
    for split in SPLITS:
        for sentence in stream_corpus(split, folder):
            yield Row(split, sentence, tuple(spans_from_tags(sentence.tags)))


def _count(folder: Path, tally: _Tally, side: str) -> Counter[int]:
    """How often each sentence occurs, by key. Adds the sentences and mentions to the tally."""
    keys = Counter[int]()
    for row in _rows(folder):
        keys[row.key] += 1
        tally[row.split, side] += 1
        tally.update((row.split, span.type, side) for span in row.spans)
    return keys


def _pick(folder: Path, wanted: Counter[int]) -> list[Row]:
    """The first rows with these keys, each as often as wanted."""
    left, rows = Counter(wanted), []
    for row in _rows(folder) if wanted else ():
        if left[row.key] > 0:
            left[row.key] -= 1
            rows.append(row)
    return rows


def _mention_changes(before: Row | None, after: Row | None) -> Iterator[MentionChange]:
    if before is None or after is None:
        return
    for old, new in pair_mentions(before.spans, after.spans):
        row, span = (before, old) if new is None else (after, new)
        assert span is not None
        kind: MentionKind = (
            "added" if old is None else "removed" if new is None else "moved" if old.type == new.type else "re-typed"
        )
        yield MentionChange(kind, after.split, row.sentence.place_of(span.start), row.sentence.words, old, new)


def _sentence_changes(before: Row | None, after: Row | None) -> Iterator[SentenceChange]:
    if before is None and after is not None:
        yield SentenceChange("added", None, after.split, after.sentence.place, after.sentence.words)
    elif after is None and before is not None:
        yield SentenceChange("removed", before.split, None, before.sentence.place, before.sentence.words)
    elif before and after and before.split != after.split:
        yield SentenceChange("moved", before.split, after.split, after.sentence.place, after.sentence.words)


def _add(tally: _Tally, before: Row | None, after: Row | None, changes: list[MentionChange]) -> None:
    """Adds a pair of rows, and the changes of its mentions, to the fields of SplitDiff and TypeDiff."""
    is_moved = before is not None and after is not None
    if before is None or after is None or before.split != after.split:
        if before:
            tally[before.split, "moved_out" if is_moved else "removed"] += 1
            tally.update((before.split, span.type, "left") for span in before.spans)
        if after:
            tally[after.split, "moved_in" if is_moved else "added"] += 1
            tally.update((after.split, span.type, "arrived") for span in (before or after).spans)
    if changes:
        tally[changes[0].split, "corrected"] += 1
    for change in changes:
        if change.kind == "re-typed" and change.before and change.after:
            tally[change.split, change.before.type, "out_of"] += 1
            tally[change.split, change.after.type, "to"] += 1
        elif span := change.after or change.before:
            tally[change.split, span.type, change.kind] += 1


def _split_diff(split: str, tally: _Tally) -> SplitDiff:
    kinds = sorted({kind for name, kind, *rest in tally if name == split and rest})
    types = {kind: TypeDiff(**{f.name: tally[split, kind, f.name] for f in fields(TypeDiff)}) for kind in kinds}
    counts = {f.name: tally[split, f.name] for f in fields(SplitDiff) if f.name != "types"}
    return SplitDiff(**counts, types=types)


def _first(items: Iterable[_Item], number: int | None, kind: Callable[[_Item], Hashable]) -> list[_Item]:
    """The first items of each kind."""
    if number is None:
        return list(items)
    seen = Counter[Hashable]()
    found = []
    for item in items:
        seen[kind(item)] += 1
        if seen[kind(item)] <= number:
            found.append(item)
    return found
