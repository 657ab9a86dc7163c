"""A stage as a command: its parameters by its signature, its errors in one line, its inputs as they were."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from fpplm.pipeline.failures import exit_on_error
from fpplm.pipeline.inputs import unchanged_inputs
from fpplm_core import params


def run(stage: Callable[..., None]) -> None:
    """Runs a stage with the sections of params.yaml that its signature names; a parameter `params` gets the whole.

    `--debug`, or FPPLM_DEBUG=1, shows tracebacks.
    """
    debug = "--debug" in sys.argv[1:] or os.environ.get("FPPLM_DEBUG") == "1"
    with exit_on_error(debug), unchanged_inputs(os.environ.get("DVC_STAGE")):
        stage(**arguments(stage, params.load()))


def arguments(stage: Callable[..., None], settings: params.Params) -> dict[str, Any]:
    """The sections by the names of the stage's parameters."""
    names = inspect.signature(stage).parameters
    return {name: settings if name == "params" else getattr(settings, name) for name in names}
