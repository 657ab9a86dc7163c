"""How files are read."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fpplm_core.data.notes import Notes
from fpplm_core.tagging.words import Range, segment

Separator = Literal["auto", "tab", "blank", "comma", "semicolon"]
SEPARATORS: dict[Separator, str] = {"tab": "\t", "blank": " ", "comma": ",", "semicolon": ";"}
Repair = Literal["refuse", "conlleval", "discard"]
Misaligned = Literal["refuse", "expand", "split"]
Overlap = Literal["refuse", "longest", "first"]


@dataclass(frozen=True)
class Options:
    """How files are read, as set in the data section of params.yaml; `notes` counts what reading changes or leaves out.

    Columns are numbers (0-based, negative from the right) or names; None means the format's default. `segment` gives
    the (start, end) of a text's words; see `fpplm_core.data.segmenter.segmentation`. With `words_only`, annotations are
    not read: none is needed, none is refused, and no text is left out because of them. The records then have tags that
    mean nothing, and no mentions.
    """

    word_column: int | str | None = None
    tag_column: int | str | None = None
    separator: Separator = "auto"
    segment: Callable[[str], list[Range]] = segment
    misaligned: Misaligned = "refuse"
    overlap: Overlap = "refuse"
    words_only: bool = False
    notes: Notes = field(default_factory=Notes)


def format_names() -> list[str]:
    """The names of the modules in formats/, found without importing them."""
    folder = str(Path(__file__).with_name("formats"))
    return sorted(module.name for module in pkgutil.iter_modules([folder]) if not module.name.startswith("_"))
