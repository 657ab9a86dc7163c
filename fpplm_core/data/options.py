"""How files are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fpplm_core.data.notes import Notes

Separator = Literal["auto", "tab", "blank", "comma", "semicolon"]
Misaligned = Literal["refuse", "expand", "split"]
Overlap = Literal["refuse", "longest", "first"]


@dataclass(frozen=True)
class Options:
    """How files are read, as params.yaml's data section says it; `notes` gathers what is worth saying.

    Columns are numbers (0-based, negative from the right) or names; None is what the format itself says.
    """

    word_column: int | str | None = None
    tag_column: int | str | None = None
    separator: Separator = "auto"
    words: str = "rules"
    misaligned: Misaligned = "refuse"
    overlap: Overlap = "refuse"
    notes: Notes = field(default_factory=Notes)
