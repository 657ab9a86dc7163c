"""What all HTML pages share: how their templates are filled."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fpplm_core.escaping import printable


def environment(folder: Path) -> Environment:
    """An environment for the templates of a folder, in which all text is escaped, unprintable characters too."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
