"""The `fpplm` command. Each command imports what it needs when it runs, so that the others start fast."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

import fpplm_core
from fpplm.cli import bundle, data, drift, pipeline, predict, pretrain, proof, queue, schedule, serve, versions
from fpplm.cli.common import announce, require_project
from fpplm.cli.reading import naming_options
from fpplm_core.escaping import printable

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
for group in (pipeline, versions, proof, schedule, data, predict, queue, bundle, serve, drift, pretrain):
    app.add_typer(group.app)


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fpplm {fpplm_core.__version__}")
        raise typer.Exit


@app.callback(help="Retrain, check, gate and deploy sequence-labelling models.")
def options(
    debug: Annotated[bool, typer.Option("--debug", help="show tracebacks")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="show the version and exit")
    ] = False,
) -> None:
    if debug:
        os.environ["FPPLM_DEBUG"] = "1"


@app.command(epilog="Example: fpplm init ~/tagger train.conll --test test.conll")
def init(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="new or empty folder")],
    train: Annotated[Path, typer.Argument(help="annotated training file in any format listed in docs/data.md")],
    dev: Annotated[
        Path | None, typer.Option(help="annotated dev file; by default, dev is split off from train")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="annotated test file; by default, test is split off from train")
    ] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="folder of unlabelled text for self-training (*.txt, *.jsonl)")
    ] = None,
) -> None:
    """Creates a project for your own data, ready for `fpplm retrain`."""
    announce(f"creating {directory}")
    from fpplm.project import creation

    with naming_options(context):
        creation.create(directory, train, dev, test, unlabelled)
    place = f"./{directory}" if str(directory).startswith("-") else str(directory)
    typer.echo(printable(f"{directory} is ready; next: cd {shlex.quote(place)} && fpplm retrain"))


@app.command(epilog="Example: fpplm update")
def update() -> None:
    """Updates the files that `fpplm init` copied to the installed version of fpplm; keeps those that you edited."""
    require_project()
    announce("comparing this project with its template")
    from fpplm.project.lock import project_lock
    from fpplm.project.update import update as update_project

    with project_lock("fail"):
        typer.echo("\n".join(update_project()))


@app.command(epilog="Example: fpplm gc --yes")
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="remove these files; the default only lists them")] = False,
) -> None:
    """Lists what no commit, version or run needs any more: clones of reproduce, old checkpoints, DVC's cache."""
    require_project()
    announce("looking for what is no longer needed")
    from fpplm.project.garbage import find_garbage, remove_garbage
    from fpplm.project.lock import project_lock, reproduction_lock

    with project_lock("fail"), reproduction_lock():
        found = find_garbage()
        for one in found:
            typer.echo(f"{one.bytes / 1e6:>10,.1f} MB  {one.name}")
        total = sum(one.bytes for one in found)
        if yes:
            remove_garbage(found)
        done = "removed" if yes else "can go; to remove them: fpplm gc --yes"
        typer.echo(f"{total / 1e6:>10,.1f} MB  {done}" if found else "nothing to remove")


@app.command(epilog="Example: fpplm doctor")
def doctor() -> None:
    """Checks the installation and the project; each line says ok, or what to do."""
    from fpplm.cli.doctor import lines

    failed = 0
    for name, found, advice in lines():
        failed += advice is not None
        typer.echo(f"{'ok  ' if advice is None else 'MISS'} {name:<18} {found}" + (f"  →  {advice}" if advice else ""))
    if failed:
        raise typer.Exit(1)
