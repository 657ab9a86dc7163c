"""Sends a verdict through a Prefect notification block."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from prefect.blocks.core import Block

from fpplm.report.run import Verdict
from fpplm.report.scores import both_f1


def notify(verdict: Verdict, block_name: str | None) -> None:
    """Sends a verdict to a Prefect notification block; a failure to send does not fail the run.

    What is printed of an error is its type and the HTTP status, because its message may have the address of a webhook,
    which is a secret.
    """
    if block_name is None or verdict.verdict == "unchanged":
        return
    title = f"fpplm {Path.cwd().name}: {verdict.state} {verdict.version or ''}".strip()
    try:
        block: Any = Block.load(block_name)
        scores = [both_f1()] if verdict.model else []  # otherwise the metrics may be an earlier run's
        block.notify(body="\n".join([*verdict.reasons, *scores]), subject=title)
    except Exception as error:  # a block may raise anything, and the outcome of the run is already settled
        got = [type(error).__name__, getattr(getattr(error, "response", None), "status_code", "")]
        said = " ".join(map(str, filter(None, got)))
        print(f"warning: {block_name} cannot be reached: {said}; see: prefect block ls", file=sys.stderr, flush=True)
