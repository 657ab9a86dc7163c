"""The commands of `fpplm` that run the pipeline or explain what it would run."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from fpplm.cli.common import announce, require_project, run_flow
from fpplm.project.lock import Busy
from fpplm_core.errors import DataError, FpplmError

app = typer.Typer()
Overrides = Annotated[
    list[str] | None, typer.Option("--set", "-S", help="override a value of params.yaml: train.lr=1e-4")
]
BusyOption = Annotated[Busy, typer.Option("--busy", help="what to do while another retraining runs here")]
ColdEvery = Annotated[
    int | None,
    typer.Option(min=1, help="with model.start production: start one of so many models in a row cold; 1 = this one"),
]
Notify = Annotated[str | None, typer.Option(help="Prefect notification block, such as slack-webhook/ops")]


@app.command(epilog="Example: fpplm retrain --promote --set train.epochs=10")
def retrain(
    overrides: Overrides = None,
    promote: Annotated[
        bool, typer.Option("--promote", help="promote the new model to production if it passes the promotion rules")
    ] = False,
    busy: BusyOption = "wait",
    notify: Notify = None,
    cold_every: ColdEvery = None,
) -> None:
    """Runs the stages whose inputs changed, and shows scores, verdict, bundle and report."""
    require_project()
    announce("retraining")
    start = time.perf_counter()
    from fpplm.promotion.history import verdict_line
    from fpplm.report.console import summary

    if notify is None:  # otherwise the flow itself checks the same, tries an unreachable remote again, and notifies
        require_ready(promote)  # before Prefect has started, which takes seconds
    run, verdict = run_flow(
        "retrain", overrides=overrides, promote=promote, busy=busy, notify=notify, cold_every=cold_every
    )
    if run.ran:
        typer.echo(f"\n{sum(run.ran.values())} of {len(run.ran)} stages ran, {time.perf_counter() - start:.0f} s\n")
        typer.echo(summary())
    typer.echo(verdict_line(verdict, promote))


def require_ready(promote: bool) -> None:
    """Raises now what would end a retraining at its start or, after hours, its promotion; the ledger records it."""
    from fpplm.pipeline.dvc import require_readable
    from fpplm.promotion.history import Run
    from fpplm.registry.git import is_repository
    from fpplm.registry.repository import require_promotable, require_remote
    from fpplm.report.run import Verdict
    from fpplm_core.params import load

    try:
        load()
        require_readable()
        if promote:
            require_promotable()
            require_remote()
        else:
            is_repository()  # raises if Git refuses to read it, as the lineage would then be empty
    except FpplmError as error:
        Run.begin(promote=promote).end(Verdict.of_error(error))
        raise


@app.command(epilog="Example: fpplm why train")
def why(stage: Annotated[str, typer.Argument(help="stage in dvc.yaml, such as train")]) -> None:
    """Lists what has changed since the last recorded run of a stage: code, packages, parameters, data."""
    require_project()
    announce(f"comparing {stage} with its recorded run")
    from fpplm.pipeline.why import lines
    from fpplm.pipeline.why import why as find_changes
    from fpplm_core.params import load

    sys.path.insert(0, str(Path.cwd()))  # the fingerprint covers the project's own tasks
    typer.echo("\n".join(lines(stage, find_changes(stage, load()))))


@app.command(epilog="Example: fpplm gate --write")
def gate(
    write: Annotated[bool, typer.Option("--write", help="write those that params.yaml does not set yet")] = False,
) -> None:
    """Proposes floors for the gate: the lower ends of the intervals of the last run's test F1."""
    require_project()
    from dataclasses import asdict

    from fpplm.project.lock import project_lock
    from fpplm.promotion import floors
    from fpplm_core.params import load

    settings = load()
    if write:
        with project_lock("fail"):
            written = floors.write_floors(settings.gate)
    else:
        written = asdict(floors.proposed())
    lines = [f"gate.{name}: {value}" for name, value in written.items()]
    typer.echo("\n".join([*lines, *(f"{line}: it has no floor" for line in floors.weak())]))
    typer.echo("written to params.yaml; next: fpplm retrain --promote" if write else "to set them: fpplm gate --write")


Cluster = Annotated[
    str | None,
    typer.Option("--ray", help="run on a Ray cluster that shares this folder: auto, HOST:PORT or local (starts one)"),
]


@app.command(epilog="Example: fpplm ablate --workers 2")
def ablate(
    plan: Annotated[Path, typer.Argument(help="file that lists arms, corpora and seeds")] = Path(
        "benchmarks/studies/main.yaml"
    ),
    results: Annotated[Path, typer.Option(help="folder for the ledger, choices, tables and plots")] = Path(
        "benchmarks/results/study"
    ),
    workers: Annotated[int, typer.Option(min=1, help="runs in parallel, which share the cores")] = 1,
    final: Annotated[
        bool, typer.Option("--final", help="train at the values chosen on dev and committed, and score test")
    ] = False,
    only_report: Annotated[bool, typer.Option("--report", help="run nothing; only rewrite the tables")] = False,
    cluster: Cluster = None,
) -> None:
    """Compares training methods: runs what the ledger lacks, on dev or (--final) on test, and writes tables."""
    require_project()
    announce(f"ablation {plan}")
    from fpplm.project.lock import study_lock
    from fpplm.studies.outcome import write_outcome

    if not only_report:
        with study_lock():
            run_flow("ablate", plan=plan, results=results, workers=workers, final=final, cluster=cluster)
    typer.echo(write_outcome(plan, results))


@app.command(epilog="Example: fpplm tune --trials 10 --write")
def tune(
    trials: Annotated[int, typer.Option(min=1, help="random trials, in addition to params.yaml as it is")] = 10,
    write: Annotated[bool, typer.Option("--write", help="write the best values to params.yaml")] = False,
    space: Annotated[
        Path | None, typer.Option(help="YAML file: train.lr: {low: 1.0e-5, high: 1.0e-4}, train.epochs: [6, 12]")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="trials in parallel, which share the cores")] = 1,
    cluster: Cluster = None,
) -> None:
    """Searches learning rates, warm-up, epochs and batch size on dev; an interrupted search continues."""
    require_project()
    announce("tuning")
    from fpplm.pipeline.paths import PARAMS
    from fpplm.project.lock import project_lock, study_lock
    from fpplm.project.overrides import write_values
    from fpplm.studies.plan import changed
    from fpplm.studies.tuning import FOLDER, lines, tuned, write_plan
    from fpplm_core.params import load
    from fpplm_core.settings import read_yaml

    with study_lock():
        plan = write_plan(load(), trials, (read_yaml(space) or {}) if space else None)
        run_flow("ablate", plan=plan, results=FOLDER, workers=workers, cluster=cluster)
        found = tuned()
    for line in lines(found):
        typer.echo(line)
    if write and found.best.values:
        with project_lock("fail"):
            write_values(PARAMS, changed(read_yaml(PARAMS), found.best.values, str(PARAMS)))
        typer.echo("written to params.yaml; next: dvc repro")
    elif found.best.values:
        typer.echo("to set them: the same command with --write")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: fpplm bench predict --rounds 3",
)
def bench(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            help="train, techniques, predict or pipeline; peers installs the packages that predict compares with"
        ),
    ],
) -> None:
    """Measures the speed of fpplm and of its peers in turn; takes --rounds and --device (benchmarks/README.md)."""
    import subprocess

    if not Path("benchmarks/__main__.py").exists():
        raise DataError("no benchmarks here", where="benchmarks", do="run this in a checkout of fpplm")
    module = ["benchmarks.peers"] if what == "peers" else ["benchmarks", what]
    raise typer.Exit(subprocess.run([sys.executable, "-m", *module, *context.args], check=False).returncode)
