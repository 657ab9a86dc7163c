"""How two states of something differ, value by value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Change:
    """A difference between two states; `before` or `after` is None where a value is missing or says nothing."""

    kind: str
    name: str
    before: str | None = None
    after: str | None = None


def changed(
    kind: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    text: Callable[[Any], str | None] = lambda value: value,
) -> Iterator[Change]:
    """The values that differ, by name; `text` makes a value a string."""
    for name in sorted(before.keys() | after.keys()):
        if (name in before) != (name in after) or before.get(name) != after.get(name):
            yield Change(kind, name, *(text(side[name]) if name in side else None for side in (before, after)))


def dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested mappings by their dotted names; an empty mapping has none."""
    found = dict[str, Any]()
    for key, value in values.items():
        found |= dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def first_names(names: Sequence[str]) -> str:
    """The first of these names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
