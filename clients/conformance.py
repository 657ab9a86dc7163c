"""The command of each client in Python: python -m clients.CLIENT BUNDLE [GOLDEN [ANSWERS]].

It prints how many spans of golden.json, or of GOLDEN, a file of the same form, are found, and exits with 1 unless all
of them and no others are. It writes [start, end, type] of each found span, by sentence, to ANSWERS.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]
Found = list[list[list[Any]]]  # [start, end, type] of each span, by sentence


def run(client: Callable[[Path, Rows], Found], key: str) -> int:
    """Runs a client on a bundle and sentences, whose `key` has the spans to find. Returns the exit status."""
    bundle, *rest = map(Path, sys.argv[1:])
    rows: Rows = json.loads((rest[0] if rest else bundle / "golden.json").read_text(encoding="utf-8"))
    found = client(bundle, rows)
    if len(rest) > 1:
        rest[1].write_text(json.dumps(found), encoding="utf-8")
    wanted = {(number, *span) for number, row in enumerate(rows) for span in row[key]}
    have = {(number, *span) for number, spans in enumerate(found) for span in spans}
    print(f"{len(wanted & have)} of {len(wanted)} spans equal, {len(have - wanted)} others found")
    return int(wanted != have)
