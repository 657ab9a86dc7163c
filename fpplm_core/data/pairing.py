"""Pairs the sentences of two corpora, and the mentions of two annotations of a sentence."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from fpplm_core.data.records import Sentence
from fpplm_core.tagging.spans import Span


class Row(NamedTuple):
    """A sentence of a split with its mentions."""

    split: str
    sentence: Sentence
    spans: tuple[Span, ...]

    @property
    def key(self) -> int:
        return hash((self.split, self.sentence.words, self.spans))


def pair_rows(before: list[Row], after: list[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """Pairs rows of the same words, in the same split if possible; the others have None at their side."""

    def by_words(row: Row) -> Hashable:
        return row.sentence.words

    def by_split(row: Row) -> Hashable:
        return row.split, row.sentence.words

    for key in (by_split, by_words):
        waiting = defaultdict[Hashable, deque[Row]](deque)
        for row in before:
            waiting[key(row)].append(row)
        alone = []
        for row in after:
            if found := waiting[key(row)]:
                yield found.popleft(), row
            else:
                alone.append(row)
        before, after = list(chain.from_iterable(waiting.values())), alone
    yield from ((row, None) for row in before)
    yield from ((None, row) for row in after)


def pair_mentions(before: Sequence[Span], after: Sequence[Span]) -> list[tuple[Span | None, Span | None]]:
    """The mentions that differ, from left to right.

    A mention is paired with one that it overlaps: with one of the same words if there is one, then of the same type,
    then with the one that it shares the most words with.
    """
    same = set(before) & set(after)
    old, new = (sorted(span for span in spans if span not in same) for spans in (before, after))
    shared = overlaps(old, new)
    ranked = sorted(
        shared,
        key=lambda pair: (pair[0][:2] != pair[1][:2], pair[0].type != pair[1].type, -shared[pair], pair),
    )
    found: list[tuple[Span | None, Span | None]] = []
    left, right = dict.fromkeys(old), dict.fromkeys(new)
    for a, b in ranked:
        if a in left and b in right:
            found.append((a, b))
            del left[a], right[b]
    found += [*((span, None) for span in left), *((None, span) for span in right)]
    return sorted(found, key=lambda pair: (pair[1] or pair[0], pair[1] is None))


def overlaps(old: Sequence[Span], new: Sequence[Span]) -> dict[tuple[Span, Span], int]:
    """The number of words that two mentions share, for those that share any; both are flat and ascend."""
    shared, first = dict[tuple[Span, Span], int](), 0
    for b in new:
        while first < len(old) and old[first].end <= b.start:
            first += 1
        last = first
        while last < len(old) and old[last].start < b.end:
            a = old[last]
            shared[a, b] = min(a.end, b.end) - max(a.start, b.start)
            last += 1
    return shared
