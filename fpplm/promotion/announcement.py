"""What is told of a retraining: its page and Prefect's artifacts, a notification, a line on the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from prefect.blocks.core import Block

from fpplm.promotion import history
from fpplm.promotion.history import Run, Verdict
from fpplm.report.prefect import publish_run
from fpplm_core.files import write_record

def publish(run: Run, verdict: Verdict, drift: float) -> None: ...
