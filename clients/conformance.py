"""How clients in Python are tried: python -m clients.CLIENT BUNDLE [GOLDEN [ANSWERS]].

It prints how many spans of golden.json, or of another file of its form, are found, and exits with 1 unless all and no
others are. ANSWERS gets [start, end, type] of each span found, by sentence.
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
    """Tries a client, which gets the bundle and the sentences; `key` has the spans that it must find. Exit status."""
    bundle, *rest = map(Path, sys.argv[1:])
    rows: Rows = json.loads((rest[0] if rest else bundle / "golden.json").read_text(encoding="utf-8"))
    found = client(bundle, rows)
    if len(rest) > 1:
        rest[1].write_text(json.dumps(found), encoding="utf-8")
    wanted = {(number, *span) for number, row in enumerate(rows) for span in row[key]}
    have = {(number, *span) for number, spans in enumerate(found) for span in spans}
    print(f"{len(wanted & have)} of {len(wanted)} spans equal, {len(have - wanted)} others found")
    return int(wanted != have)
