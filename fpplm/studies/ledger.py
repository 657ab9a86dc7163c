"""The ledger of an ablation: one JSON line for each finished run."""

from __future__ import annotations

import base64
import zlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fpplm.studies.ablation import Cell
from fpplm_core.evaluation.metrics import SentenceCounts
from fpplm_core.files import append_json_line, read_json_lines


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """The result of one run.

    `key` is the digest of parameters, data and encoder, `code` that of the code. `values` are the parameters that its
    trial drew, or that were chosen; `curve` is dev F1 by epoch. A trial that was `pruned` ended early, because it fell
    behind or `diverged`; its `dev_f1` is the best until then.
    Only final runs have `choices` (the commit of plan, params.yaml and choices), `test` (scores by name) and `counts`
    (`packed` tp, fp and fn of each document of test, or of each sentence if no documents are marked). `seconds` and
    `peak_mb` (MiB of memory) are those of the training.
    """

    key: str
    code: str
    commit: str | None = None
    corpus: str
    arm: str
    seed: int
    dev_f1: float
    curve: list[float]
    seconds: float
    peak_mb: int
    trial: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    pruned: bool = False
    diverged: bool = False
    choices: str | None = None
    test: dict[str, float] | None = None
    counts: str | None = None

    @property
    def ended(self) -> str:
        """How a trial ended early, such as "pruned after 3 epochs, "; nothing for another run."""
        how = "diverged" if self.diverged else "pruned"
        return f"{how} after {len(self.curve)} epochs, " if self.pruned else ""


def read_ledger(ledger: Path) -> list[LedgerRow]:
    """The finished runs, without lines that were cut short when an ablation was killed."""
    return [LedgerRow(**values) for values in read_json_lines(ledger)]


def row_of(cell: Cell, row: LedgerRow) -> LedgerRow:
    """A row as that of this cell: equal draws, arms and plans share a run, which the ledger has under one of them."""
    return replace(row, corpus=cell.corpus, arm=cell.arm, trial=cell.trial, values=cell.values)


def append_row(ledger: Path, row: LedgerRow) -> None:
    append_json_line(ledger, {name: value for name, value in asdict(row).items() if value is not None})


def packed(counts: SentenceCounts) -> str:
    """Counts below 65,536 as compressed text, a seventh of their size as numbers. *Shape:* (units, 3).

    Raises ValueError for a larger count.
    """
    if counts.size and counts.max() >= 1 << 16:
        raise ValueError(f"counts must be below 65,536, got {counts.max():,}")
    return base64.b85encode(zlib.compress(counts.astype("<u2").tobytes(), 9)).decode()


def unpacked(text: str) -> SentenceCounts:
    """The inverse of `packed`."""
    return np.frombuffer(zlib.decompress(base64.b85decode(text)), "<u2").reshape(-1, 3).astype(np.int64)
