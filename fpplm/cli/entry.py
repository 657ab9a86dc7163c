"""The entry point of `fpplm`: an installation without any extra gets an error in one line too."""

from __future__ import annotations

from fpplm.pipeline.failures import exit_on_error
from fpplm.terminal.output import outlive_readers


def start() -> None:
    outlive_readers()
    with exit_on_error():
        from fpplm.cli.main import app

        app()
