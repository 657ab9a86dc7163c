"""The commands of `fpplm` that retrain on a schedule."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from fpplm.cli.common import announce, require_project
from fpplm.cli.pipeline import ColdEvery, Notify, Overrides
from fpplm.project.lock import Busy

app = typer.Typer()


@app.command(epilog='Example: fpplm schedule --cron "0 3 * * 1"')
def schedule(
    cron: Annotated[
        str | None,
        typer.Option(
            help='cron expression of five fields, such as "0 3 * * 1"; default: nightly, unless --every is given'
        ),
    ] = None,
    every: Annotated[str | None, typer.Option(help="interval instead of --cron: seconds, or 30m, 12h, 7d")] = None,
    when: Annotated[
        Literal["drift"] | None,
        typer.Option(
            help="also run at each drift that fpplm drift --emit finds; without --cron and --every, only then"
        ),
    ] = None,
    timezone: Annotated[str, typer.Option(help="time zone, such as Europe/Berlin")] = "UTC",
    overrides: Overrides = None,
    only_report: Annotated[
        bool, typer.Option("--only-report", help="report only; never promote to production")
    ] = False,
    busy: Annotated[Busy | None, typer.Option(help="what to do while another retraining runs here")] = None,
    notify: Notify = None,
    cold_every: ColdEvery = None,
    off: Annotated[bool, typer.Option("--off", help="remove the schedule")] = False,
) -> None:
    """Schedules the retraining on the server and worker of `fpplm up`; replaces an earlier schedule."""
    require_project()
    announce("asking Prefect's server")
    from fpplm.pipeline.dvc import require_readable
    from fpplm.schedule import deployment
    from fpplm_core.params import load

    if off:
        typer.echo(deployment.unschedule())
        return
    load()  # otherwise a mistake in params.yaml would surface only at night
    require_readable()
    given = {
        "overrides": overrides,
        "promote": False if only_report else None,
        "busy": busy,
        "notify": notify,
        "cold_every": cold_every,
    }
    changed = {key: value for key, value in given.items() if value is not None}
    typer.echo(deployment.schedule(cron, every, timezone, changed, on_drift=when is not None))


@app.command(epilog="Example: fpplm up")
def up(
    host: Annotated[
        str,
        typer.Option(help="address to listen on; one that other machines reach needs a password (docs/security.md)"),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port of Prefect's API and web pages")] = 4200,
) -> None:
    """Runs this project's Prefect server and worker until Ctrl-C."""
    require_project()
    from fpplm.schedule import server

    server.up(host, port)
