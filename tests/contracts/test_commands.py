"""Every command's help ends with an example that this command takes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from fpplm.cli.main import app


def commands(group: TyperGroup, path: tuple[str, ...] = ("fpplm",)) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


root = typer.main.get_command(app)
assert isinstance(root, TyperGroup)
COMMANDS = dict(commands(root))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_help_ends_with_an_example_that_parses(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.epilog and command.epilog.startswith("Example: ")
    words = shlex.split(command.epilog.removeprefix("Example: "))
    assert tuple(words[: len(path)]) == path
    command.make_context(path[-1], words[len(path) :])
    assert command.help and command.help.split()[0].endswith("s"), "says what it does"
