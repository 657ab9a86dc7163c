"""The `fpplm` command. Each command imports what it needs when it runs, so that the others start fast."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from fpplm.cli import bundle, data
from fpplm.pipeline.failures import exit_on_error
from fpplm_core.errors import DataError, ParamsError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(data.app)
app.add_typer(bundle.app)
Overrides = Annotated[list[str] | None, typer.Option("--set", "-S", help="a value of params.yaml: train.lr=1e-4")]
Notify = Annotated[str | None, typer.Option(help="Prefect notification block, such as slack-webhook/ops")]


@app.callback(help="Retrain, check, gate and deploy sequence-labelling models.")
def options(debug: Annotated[bool, typer.Option("--debug", help="show tracebacks")] = False) -> None:
    if debug:
        os.environ["FPPLM_DEBUG"] = "1"


@app.command()
def retrain(
    overrides: Overrides = None,
    data: Annotated[str | None, typer.Option(help="folder of the data, instead of params.yaml's")] = None,
    promote: Annotated[bool, typer.Option("--promote", help="put into production what earns it")] = False,
    busy: Annotated[str, typer.Option(help="where another retraining works here: wait, skip or fail")] = "wait",
    notify: Notify = None,
) -> None:
    """Runs what has changed of the pipeline, and shows scores, verdict, bundle and report."""
    in_project()
    if busy not in ("wait", "skip", "fail"):
        raise ParamsError("unknown answer", where="--busy", got=repr(busy), do="use wait, skip or fail")
    start = time.perf_counter()
    from fpplm.cli.flow import load_flow
    from fpplm.report.console import said, summary

    run, verdict = load_flow("retrain").retrain(overrides or [], data, promote, busy, notify=notify)
    if run.ran:
        typer.echo(f"\n{sum(run.ran.values())} of {len(run.ran)} stages ran, {time.perf_counter() - start:.0f} s\n")
        typer.echo(summary())
    typer.echo(said(verdict, promote))


def in_project() -> None:
    if not Path("dvc.yaml").exists():
        raise DataError("no dvc.yaml here", where=str(Path.cwd()), do="run in the project's folder")


@app.command()
def models() -> None:
    """The registered versions: which is in production, scores, dates, data."""
    in_project()
    from fpplm.cli.tables import models as table

    typer.echo(table())


@app.command()
def runs(last: Annotated[int, typer.Option(min=1, help="how many")] = 20) -> None:
    """The retrainings of this folder: when, what ran, what was decided and why."""
    in_project()
    from fpplm.cli.tables import runs as table

    typer.echo(table(last))


@app.command()
def promote(
    version: Annotated[
        str | None, typer.Argument(help="a registered version, such as v2; none: what ./bundle holds")
    ] = None,
) -> None:
    """Puts a model into production, whatever its verdict was."""
    in_project()
    from fpplm.project.lock import alone
    from fpplm.promotion import decision
    from fpplm_core.params import load

    with alone("fail"):
        typer.echo(f"{decision.promote_by_hand(load(), version)} is in production")


@app.command()
def rollback() -> None:
    """Puts the version before the present one into production again."""
    in_project()
    from fpplm.project.lock import alone
    from fpplm.promotion import decision

    with alone("fail"):
        now, before = decision.roll_back()
    typer.echo(f"{now} is in production, as before {before}")


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="a version, such as v1, or a bundle's folder")],
    after: Annotated[str, typer.Argument(help="likewise")] = "bundle",
) -> None:
    """How two models differ: parameters, data, code, scores on the present test split, and spans, with examples."""
    in_project()
    from fpplm.cli.tables import diff as table

    typer.echo(table(before, after))


@app.command()
def reproduce(version: Annotated[str, typer.Argument(help="a registered version, such as v1")]) -> None:
    """Trains a version again from its code, parameters and data, and says whether the same came out."""
    in_project()
    from fpplm.promotion.reproduction import reproduce as again

    typer.echo(again(version))


@app.command()
def ablate(
    plan: Annotated[Path, typer.Argument(help="arms, corpora and seeds")] = Path("benchmarks/studies/ablation.yaml"),
    results: Annotated[Path, typer.Option(help="folder of the ledger, tables and plots")] = Path(
        "benchmarks/results/ablation"
    ),
    workers: Annotated[int, typer.Option(min=1, help="runs at a time; they share the cores")] = 1,
    only_report: Annotated[bool, typer.Option("--report", help="run nothing, write the table anew")] = False,
) -> None:
    """Compares techniques: runs what the ledger lacks of arms × corpora × seeds, and writes the table."""
    from fpplm.cli.flow import load_flow
    from fpplm.studies.ablation import write_outcome

    if not only_report:
        load_flow("ablate").ablate(plan, results / "runs.jsonl", workers)
    typer.echo(write_outcome(plan, results))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(help="train, techniques, predict, pipeline; peers: installs what predict compares with")
    ],
) -> None:
    """Measures our speed and that of the peers, in turn; --rounds, --device (benchmarks/README.md)."""
    import subprocess

    if not Path("benchmarks/__main__.py").exists():
        raise DataError("no benchmarks here", where="benchmarks", do="run it in a checkout of fpplm")
    module = ["benchmarks.peers"] if what == "peers" else ["benchmarks", what]
    raise typer.Exit(subprocess.run([sys.executable, "-m", *module, *context.args], check=False).returncode)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="a new or empty folder")],
    train: Annotated[Path, typer.Argument(help="annotated file of any format that docs/data.md names")],
    dev: Annotated[Path | None, typer.Option(help="likewise; without it cut from train")] = None,
    test: Annotated[Path | None, typer.Option(help="likewise; without it cut from train")] = None,
) -> None:
    """Makes a project for data of your own, ready for `fpplm retrain`."""
    from fpplm.project import template

    template.create(directory, train, dev, test)
    typer.echo(f"{directory} is ready; go on with: cd {directory} && fpplm retrain")


@app.command()
def schedule(
    cron: Annotated[str | None, typer.Option(help='such as "0 3 * * 1"; without it and --every: nightly')] = None,
    every: Annotated[str | None, typer.Option(help="instead of --cron: seconds, or 30m, 12h, 7d")] = None,
    timezone: Annotated[str, typer.Option(help="such as Europe/Berlin")] = "UTC",
    overrides: Overrides = None,
    only_report: Annotated[bool, typer.Option("--only-report", help="put nothing into production")] = False,
    busy: Annotated[str | None, typer.Option(help="where another retraining works here: wait, skip or fail")] = None,
    notify: Notify = None,
    off: Annotated[bool, typer.Option("--off", help="take the schedule away")] = False,
) -> None:
    """Lets the retraining run by itself, with the server and worker of `fpplm up`; replaces an earlier schedule."""
    in_project()
    from fpplm.schedule import deployment

    if off:
        typer.echo(deployment.unschedule())
        return
    given = {"overrides": overrides, "promote": False if only_report else None, "busy": busy, "notify": notify}
    changed = {key: value for key, value in given.items() if value is not None}
    typer.echo(deployment.schedule(cron, every, timezone, changed))


@app.command()
def up(
    host: Annotated[str, typer.Option(help="address to listen at; Prefect asks nobody for a password")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port of Prefect's API and pages")] = 4200,
) -> None:
    """Runs this project's Prefect server and worker, until Ctrl-C."""
    in_project()
    from fpplm.schedule import server

    server.up(host, port)


@app.command()
def doctor() -> None:
    """Says what is installed and found: each line ok, or what to type."""
    from fpplm.cli.doctor import lines

    failed = 0
    for name, found, advice in lines():
        failed += advice is not None
        typer.echo(f"{'ok  ' if advice is None else 'MISS'} {name:<18} {found}" + (f"  →  {advice}" if advice else ""))
    if failed:
        raise typer.Exit(1)


def main() -> None:
    debug = "--debug" in sys.argv or os.environ.get("FPPLM_DEBUG") == "1"
    with exit_on_error(debug):
        app()
