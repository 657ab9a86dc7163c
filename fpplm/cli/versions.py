"""The commands of `fpplm` about registered models: which there are, which is in production, how two differ."""

from __future__ import annotations

from typing import Annotated

import typer

from fpplm.cli.flow import require_project

app = typer.Typer()


@app.command()
def models() -> None:
    """The registered versions: which is in production, scores, dates, data."""
    require_project()
    from fpplm.cli.tables import models as table

    typer.echo(table())


@app.command()
def runs(last: Annotated[int, typer.Option(min=1, help="how many")] = 20) -> None:
    """The retrainings of this folder: when, what ran, what was decided and why."""
    require_project()
    from fpplm.cli.tables import runs as table

    typer.echo(table(last))


@app.command()
def promote(
    version: Annotated[
        str | None, typer.Argument(help="a registered version, such as v2; none: what ./bundle holds")
    ] = None,
) -> None:
    """Puts a model into production, whatever its verdict was."""
    require_project()
    from fpplm.project.lock import project_lock
    from fpplm.promotion import decision
    from fpplm_core.params import load

    with project_lock("fail"):
        typer.echo(f"{decision.promote_by_hand(load(), version)} is in production")


@app.command()
def rollback() -> None:
    """Puts the version before the present one into production again."""
    require_project()
    from fpplm.project.lock import project_lock
    from fpplm.promotion import decision

    with project_lock("fail"):
        now, before = decision.roll_back()
    typer.echo(f"{now} is in production, as before {before}")


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="a version, such as v1, or a bundle's folder")],
    after: Annotated[str, typer.Argument(help="likewise")] = "bundle",
) -> None:
    """How two models differ: parameters, data, code, scores on the present test split, and spans, with examples."""
    require_project()
    from fpplm.cli.tables import diff as table

    typer.echo(table(before, after))


@app.command()
def reproduce(version: Annotated[str, typer.Argument(help="a registered version, such as v1")]) -> None:
    """Trains a version again from its code, parameters and data, and compares the result with what was registered."""
    require_project()
    from fpplm.promotion.reproduction import reproduce as reproduce_version

    typer.echo(reproduce_version(version))
