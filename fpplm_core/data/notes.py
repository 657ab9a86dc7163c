"""Counts by kind what reading or writing changed or left out, with the first places, so that nothing is silent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from fpplm_core.escaping import printable

EXAMPLES = 20  # places kept per kind
SHOWN = 3  # of them, in a line


class Notes:
    """Counts by kind, such as "relations are not read", and the first EXAMPLES places (file:line: what) of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.places: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, place: str, number: int = 1) -> None:
        if number:
            self.counts[kind] += number
            if len(self.places[kind]) < EXAMPLES:
                self.places[kind].append(place)

    def lines(self) -> Iterator[str]:
        """One line per kind: `relations are not read: 12 (a.jsonl:3, a.jsonl:9, …)`, without a count of 1."""
        for kind, number in self.counts.items():
            places = self.places[kind][:SHOWN]
            more = ", …" if number > len(places) else ""
            yield printable(f"{kind}{f': {number}' if number > 1 else ''} ({', '.join(places)}{more})")
