"""A stage as a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from fpplm.pipeline.failures import exit_on_error


def run(stage: Callable[[], None]) -> None:
    """Runs a stage as a command. `--debug`, or FPPLM_DEBUG=1, shows tracebacks."""
    from fpplm.pipeline.inputs import frozen_inputs  # only stages need it

    debug = "--debug" in sys.argv[1:] or os.environ.get("FPPLM_DEBUG") == "1"
    with exit_on_error(debug), frozen_inputs(os.environ.get("DVC_STAGE")):
        stage()
