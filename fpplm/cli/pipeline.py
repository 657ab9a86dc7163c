"""The commands of `fpplm` that run the pipeline, or explain what it would run."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from fpplm.cli.flow import load_flow, require_project
from fpplm_core.errors import DataError, ParamsError

app = typer.Typer()
Overrides = Annotated[list[str] | None, typer.Option("--set", "-S", help="a value of params.yaml: train.lr=1e-4")]
Notify = Annotated[str | None, typer.Option(help="Prefect notification block, such as slack-webhook/ops")]


@app.command()
def retrain(
    overrides: Overrides = None,
    data: Annotated[str | None, typer.Option(help="folder of the data, instead of params.yaml's")] = None,
    promote: Annotated[bool, typer.Option("--promote", help="put into production what earns it")] = False,
    busy: Annotated[str, typer.Option(help="where another retraining works here: wait, skip or fail")] = "wait",
    notify: Notify = None,
) -> None:
    """Runs what has changed of the pipeline, and shows scores, verdict, bundle and report."""
    require_project()
    if busy not in ("wait", "skip", "fail"):
        raise ParamsError("unknown answer", where="--busy", got=repr(busy), do="use wait, skip or fail")
    start = time.perf_counter()
    from fpplm.promotion.history import verdict_line
    from fpplm.report.console import summary
    from fpplm_core.params import load

    load()  # first: a mistake in params.yaml is reported before Prefect has started, which takes seconds
    flow = load_flow("retrain")
    run, verdict = flow.retrain(overrides or [], data, promote, busy, notify=notify)
    if run.ran:
        typer.echo(f"\n{sum(run.ran.values())} of {len(run.ran)} stages ran, {time.perf_counter() - start:.0f} s\n")
        typer.echo(summary())
    typer.echo(verdict_line(verdict, promote))


@app.command()
def why(stage: Annotated[str, typer.Argument(help="a stage of dvc.yaml, such as train")]) -> None:
    """Lists what has changed since the recorded run of a stage: code, packages, parameters, data."""
    require_project()
    from fpplm.pipeline.why import lines
    from fpplm.pipeline.why import why as find_changes
    from fpplm_core.params import load

    sys.path.insert(0, str(Path.cwd()))  # the fingerprint is that of the project's own tasks
    typer.echo("\n".join(lines(stage, find_changes(stage, load()))))


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
