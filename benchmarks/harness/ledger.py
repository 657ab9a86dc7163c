"""The ledger of a study: a file of JSON lines, to which each training adds one as soon as it is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read(file: Path) -> list[dict[str, Any]]:
    """A row for each training so far; none if there is no file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def append(file: Path, row: Mapping[str, Any]) -> None:
    """Prints a row and adds it."""
    print(row, flush=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")
