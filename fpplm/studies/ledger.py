"""The ledger of an ablation: one JSON line for each finished cell."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class LedgerRow:
    """The result of one cell.

    `key` is the digest of parameters, data and encoder, `code` that of the code. `test` has scores by name, `counts`
    tp, fp and fn of every test sentence; `seconds` and `peak_mb` (MB of memory) are those of the training.
    """

    key: str
    code: str
    commit: str | None
    corpus: str
    arm: str
    seed: int
    dev_f1: float
    test: dict[str, float]
    counts: list[list[int]]
    seconds: float
    peak_mb: int


def read_ledger(ledger: Path) -> list[LedgerRow]:
    if not ledger.exists():
        return []
    return [LedgerRow(**json.loads(line)) for line in ledger.read_text(encoding="utf-8").splitlines()]


def append_row(ledger: Path, row: LedgerRow) -> None:
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with ledger.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
