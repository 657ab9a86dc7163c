"""What the commands that read files share: their options, and errors that name these options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal, TypeVar

import typer

from fpplm_core.data.options import Misaligned, Overlap, Repair, Separator
from fpplm_core.errors import FpplmError

WordColumn = Annotated[
    str | None, typer.Option(help="column of words: number (0-based, negative from the right) or name")
]
TagColumn = Annotated[
    str | None, typer.Option(help="column of tags: number or name; of Label Studio, the Labels control")
]
SeparatorOption = Annotated[Separator, typer.Option("--separator", help="what separates columns")]
MisalignedOption = Annotated[
    Misaligned, typer.Option("--misaligned", help="how to treat mentions that begin or end inside a word")
]
OverlapOption = Annotated[Overlap, typer.Option("--overlap", help="how to treat overlapping mentions")]
EncodingOption = Annotated[str, typer.Option("--encoding", help="encoding of the input, such as latin-1 or utf-16")]
OnErrorOption = Annotated[
    Literal["stop", "skip"],
    typer.Option("--on-error", help="at a line that cannot be read: stop with exit code 3, or skip it and go on"),
]
RepairOption = Annotated[Repair, typer.Option("--repair", help="how to treat illegal tag transitions")]
Problem = TypeVar("Problem", bound=FpplmError)
_PARAMETER = re.compile(r"\bdata\.([a-z_]+)")
_FILE = re.compile(r" in params\.yaml( \(data\.\*\))?")


def as_column(given: str | None) -> int | str | None:
    """Converts a column given as text to its number, or keeps it as a name."""
    return int(given) if given is not None and re.fullmatch("-?[0-9]{1,9}", given) else given


@contextmanager
def naming_options(context: typer.Context) -> Iterator[None]:
    """Errors name the running command's options where the readers name parameters: data.overlap becomes --overlap."""
    try:
        yield
    except FpplmError as error:
        raise name_options(context, error) from error


def name_options(context: typer.Context, error: Problem) -> Problem:
    """The error with the options of the running command in place of parameters."""
    options = {name for parameter in context.command.params for name in parameter.opts}

    def option(match: re.Match[str]) -> str:
        names = (f"--{match[1].replace('_', '-')}", "--from" if match[1] == "format" else "")
        return next((name for name in names if name in options), match[0])

    return error.replace(**{name: _PARAMETER.sub(option, _FILE.sub("", part)) for name, part in error.parts.items()})
