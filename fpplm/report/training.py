"""How a training went: its curves, its groups of weights, and what each technique did."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getdoc
from pathlib import Path
from typing import Any

from fpplm_core.training.techniques import settings

DRAWN_ROWS = 120  # of a table of curves: each row is a mean over as many steps as that takes
ABOUT = {name: getdoc(kind) or "" for name, kind in settings().items()} | {
    "self_training": "Trains on the tagger's own confident predictions on unlabelled text.",
}
WHOLE = "training as a whole"  # what belongs to no technique
GRADIENT = {
    "gradient_share": "share of the gradient in steps in which it acts",
    "acting_share": "share of the measured steps in which it acts",
}
OWNERS = {"frozen_phase": "fuzzy_regions", "learning rate": WHOLE, "tag": WHOLE}

Json = Mapping[str, Any]
Cell = float | None  # None: its technique was off


@dataclass(frozen=True)
class Curves:
    """Losses and rates by step. A row has the last of its `every` steps and the mean of each column over them.

    `not_finite` counts the values of a column that the means leave out.
    """

    columns: list[str] = field(default_factory=list)
    rows: list[tuple[int, list[Cell]]] = field(default_factory=list)
    every: int = 1
    not_finite: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class GroupRow:
    """A group of weights: how far it moved and, if groups were opened in turn, when and how fuzzy."""

    group: str
    relative_change: float
    opened_at_step: int = 0
    opened: float | None = None
    fuzziness_first: float | None = None
    fuzziness: float | None = None


@dataclass
class Technique:
    """What a technique did: phases (name, begin, end as shares of training), numbers, and the names of its losses."""

    name: str
    about: str
    phases: list[tuple[str, float, float]] = field(default_factory=list)
    numbers: list[tuple[str, float]] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)


def read_curves(path: Path) -> Curves:
    """The curves of steps.csv; empty if the file is empty or missing."""
    table = read_columns(path)
    steps = table.pop("step", [])
    every = max(1, math.ceil(len(steps) / DRAWN_ROWS))
    ends = [*range(every, len(steps), every), len(steps)] if steps else []
    rows = [
        (int(steps[end - 1] or 0), [mean(values[max(0, end - every) : end]) for values in table.values()])
        for end in ends
    ]
    strange = {name: sum(v is not None and not math.isfinite(v) for v in values) for name, values in table.items()}
    return Curves([*table], rows, every, {name: number for name, number in strange.items() if number})


def mean(values: Sequence[Cell]) -> Cell:
    """The mean of the finite values, None if there is none."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def read_columns(path: Path) -> dict[str, list[Cell]]:
    """The columns of a table of numbers, None if a cell is empty; no column where the table is empty or missing."""
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []
    return {name: [float(row[name]) if row[name] else None for row in rows] for name in (rows[0] if rows else ())}


def group_rows(findings: Json, steps: int) -> list[GroupRow]:
    """One row per group of weights."""
    opened = {row["group"]: row for row in findings.get("fuzzy_regions", {}).get("coverage", [])}
    rows = []
    for moved in findings.get("movement", []):
        row = opened.get(moved["group"])
        share = row["opened_at_step"] / steps if row else None
        rows.append(GroupRow(**{**(row or {}), **moved}, opened=share))
    return rows


def techniques(findings: Json, losses: Sequence[str]) -> list[Technique]:
    """What each part of the training did, by name; `losses` are the names of all losses, as TECHNIQUE.LOSS."""
    found: dict[str, Technique] = {}

    def of(name: str) -> Technique:
        owner = OWNERS.get(name, name)
        return found.setdefault(owner, Technique(owner, ABOUT.get(owner, "")))

    def named(name: str, what: str) -> str:
        return f"{name.replace('_', ' ')}: {what}" if name in OWNERS else what

    for name, phases in findings.get("phases", {}).items():
        of(name).phases += [(named(name, phase), *span) for phase, span in phases.items() if span[0] < span[1]]
    for name, what, value in measurements(findings):
        if name in GRADIENT:
            owner, _, loss = what.partition(".")
            of(owner).numbers.append((f"{loss or owner}: {GRADIENT[name]}", value))
        else:
            of(name).numbers.append((named(name, what), value))
    for name in losses:
        owner, dot, _ = name.partition(".")
        if dot:
            of(owner).losses.append(name)
    for one in found.values():
        one.phases.sort(key=lambda phase: phase[1:])
    return sorted(found.values(), key=lambda one: (not one.about, one.name))


def measurements(findings: Json) -> list[tuple[str, str, float]]:
    """All plain numbers among the findings, flattened by one level: (technique, name, number)."""
    rows = []
    for technique, values in findings.items():
        for name, value in values.items() if isinstance(values, dict) else ():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            rows += [(technique, f"{name} {key}".strip(), v) for key, v in inner if isinstance(v, int | float)]
    return rows
