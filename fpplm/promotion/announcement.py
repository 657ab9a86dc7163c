"""How a verdict is announced: a notification, a line on the terminal."""

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


def verdict_line(verdict: Verdict, promote: bool) -> str:
    """The verdict in a line, and what to do with it."""
    reason = verdict.reasons[0]
    if verdict.version:
        return f"verdict  {verdict.version} is in production: {reason}"
    advice = "; fpplm retrain --promote registers it" if verdict.verdict == "promote" and not promote else ""
    return f"verdict  {verdict.verdict}: {reason}{advice}"
