"""The commands of `fpplm` that list, compare, promote and reproduce registered models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fpplm.cli.common import announce, require_project
from fpplm_core.escaping import printable
from fpplm_core.files import making

app = typer.Typer()


Because = Annotated[str, typer.Option("--because", help="why, for fpplm models --history")]


@app.command(epilog="Example: fpplm models --history")
def models(
    history: Annotated[bool, typer.Option("--history", help="show what was in production: when, who, why")] = False,
) -> None:
    """Lists the registered versions: which one is in production, scores, dates, data."""
    require_project()
    from fpplm.cli import tables

    typer.echo(tables.production() if history else tables.models())


@app.command(epilog="Example: fpplm runs --last 5")
def runs(
    last: Annotated[int, typer.Option(min=1, help="number of retrainings to show")] = 20,
    html: Annotated[
        Path | None, typer.Option(help="write a page with the trends of scores, data and time over all models")
    ] = None,
) -> None:
    """Lists the retrainings in this folder: start, stages that ran, verdict and reason."""
    require_project()
    if html:
        from fpplm.promotion import history
        from fpplm.report.page import render_trend

        models = history.trend(history.runs())
        with making(html):
            render_trend(models, html)
        typer.echo(printable(f"{html}: {len(models)} model{'s' * (len(models) != 1)}"))
        return
    from fpplm.cli.tables import runs as table

    typer.echo(table(last))


@app.command(epilog='Example: fpplm promote v3 --because "holds on the new test split"')
def promote(
    version: Annotated[
        str | None, typer.Argument(help="registered version, such as v2; default: the model in ./bundle")
    ] = None,
    because: Because = "",
) -> None:
    """Promotes a model to production, whatever its verdict was."""
    require_project()
    announce(f"promoting {version or './bundle'}")
    from fpplm.project.lock import project_lock
    from fpplm.project.repair import repair_workspace
    from fpplm_core.params import load

    settings = load()  # before imports that take seconds
    from fpplm.promotion import decision

    if version is None:
        with project_lock("fail"):
            for repair in repair_workspace():
                typer.echo(f"repaired: {repair}")
            promoted = decision.promote_by_hand(settings, None, because)
    else:  # moves a tag, also while a retraining runs
        promoted = decision.promote_by_hand(settings, version, because)
    typer.echo(f"{promoted} is in production")


@app.command(epilog='Example: fpplm rollback --to v2 --because "v3 misses street names"')
def rollback(
    to: Annotated[str | None, typer.Option(help="registered version, such as v3; default: the one before")] = None,
    because: Because = "",
) -> None:
    """Puts an earlier version back into production, once it has found the spans of its golden sentences here."""
    require_project()
    announce("rolling back")
    from fpplm.promotion import decision

    now, before = decision.roll_back(to, because)
    typer.echo(f"{now} is back in production, instead of {before}")


@app.command(epilog="Example: fpplm diff v1 v2")
def diff(
    before: Annotated[str, typer.Argument(help="bundle folder, or registered version, such as v1 or production")],
    after: Annotated[str, typer.Argument(help="version or bundle folder to compare with it")] = "bundle",
    limit: Annotated[int, typer.Option(min=0, help="number of rows to show of each list; 0 shows all")] = 20,
    data: Annotated[
        bool, typer.Option("--data", help="compare the data only; those of ./bundle: build/corpus")
    ] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="write Markdown, for a pull request")] = False,
) -> None:
    """Shows how two models differ: parameters, data, code, scores on the current test split, and spans."""
    require_project()
    announce(f"comparing {after} with {before}")
    from fpplm.cli.diff import data_sections, model_sections
    from fpplm.promotion.data_changes import is_corpus_current, is_own_bundle
    from fpplm.terminal import tables

    if data and (is_own_bundle(before) or is_own_bundle(after)) and not is_corpus_current():
        announce("build/corpus is older than the data; to compare them as they are now, first run: dvc repro read")
    found = data_sections(before, after, limit) if data else model_sections(before, after, limit)
    typer.echo(tables.as_markdown(found) if as_markdown else tables.as_text(found))


@app.command(epilog="Example: fpplm reproduce v1")
def reproduce(version: Annotated[str, typer.Argument(help="registered version, such as v1")]) -> None:
    """Retrains a version from its code, parameters and data, and compares the result with the registered model."""
    require_project()
    announce(f"reproducing {version}")
    from fpplm.promotion.reproduction import reproduce as reproduce_version

    typer.echo(reproduce_version(version))
