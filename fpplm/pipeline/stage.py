"""Runs a stage as a command: parameters from its signature, errors in one line, and a check of its inputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_type_hints

from fpplm.pipeline.failures import exit_on_error
from fpplm.pipeline.parent import WATCHED
from fpplm.pipeline.paths import PARAMS
from fpplm.pipeline.unchanged import unchanged_inputs
from fpplm.terminal.output import outlive_readers
from fpplm.terminal.progress import show_progress
from fpplm_core.settings import Settings, read_yaml


def run(stage: Callable[..., None]) -> None:
    """Runs a stage with the sections of params.yaml that its signature names; a parameter `params` gets them all.

    `--debug`, or FPPLM_DEBUG=1, shows tracebacks.
    """
    # A process that a stage started for its own work leaves the check to it.
    address = None if WATCHED in os.environ else os.environ.get("DVC_STAGE")
    first = os.environ.get("RANK", "0") == "0"  # of the processes of a training, which share a terminal
    outlive_readers()
    shown = show_progress(Path(sys.argv[0]).stem) if first else nullcontext()
    with exit_on_error(), unchanged_inputs(address), shown:
        stage(**arguments(stage, read_yaml(PARAMS)))


def arguments(stage: Callable[..., None], values: Any) -> dict[str, Settings]:
    """The sections that the stage's parameters name, validated by their annotations.

    The stage `environment` validates the other sections and their consistency: a stage that imported all of them
    would run again whenever one of them changes.
    """
    kinds: dict[str, type[Settings]] = {name: kind for name, kind in get_type_hints(stage).items() if name != "return"}
    return {name: kind.parse(*section(name, values)) for name, kind in kinds.items()}


def section(name: str, values: Any) -> tuple[Any, str]:
    """The values of a section, and the place to name in errors."""
    if name == "params" or not isinstance(values, dict):
        return values, str(PARAMS)
    return values.get(name), f"{PARAMS}: {name}"
