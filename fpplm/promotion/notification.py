"""A verdict as a notification, by a block of Prefect's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from prefect.blocks.core import Block

from fpplm.promotion.history import Verdict


def notify(verdict: Verdict, block_name: str | None) -> None:
    """Sends a verdict to a Prefect notification block; where that fails, the run does not."""
    if block_name is None or verdict.verdict == "unchanged":
        return
    title = f"fpplm {Path.cwd().name}: {verdict.state} {verdict.version or ''}".strip()
    try:
        block: Any = Block.load(block_name)
        block.notify(body="\n".join(verdict.reasons), subject=title)
    except Exception as error:  # whatever a block raises, the run has already ended well or not
        print(f"warning: {block_name} cannot be reached: {error}", file=sys.stderr, flush=True)
