"""The ablation: arms × corpora × trials or seeds from one plan file. Each run is the real stages in its own folder.

A run is identified by digests of its parameters, data and encoder, and of its code; the ledger (runs.jsonl) contains
the finished ones. An ablation that was killed loses at most the runs in progress, and runs whose digests have changed
are repeated. Only final runs see test.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from prefect.task_runners import ThreadPoolTaskRunner

from fpplm.pipeline.flow import end_on_sigterm
from fpplm.registry.sources import commit_without, require_committed
from fpplm.studies.ablation import Cell, by_key, cells_of
from fpplm.studies.choices import write_choices
from fpplm.studies.ledger import LedgerRow, append_row, read_ledger, row_of
from fpplm.studies.plan import choices_file, choices_in, read_plan, used_files
from fpplm.studies.runs import PREPARED, run_here
from fpplm.terminal.progress import duration
from fpplm_core.errors import FpplmError


def ablate(plan: Path, results: Path, workers: int = 1, final: bool = False, cluster: str | None = None) -> None:
    """Runs what the ledger in `results` lacks: on dev alone, or the final runs, which score test.

    Several workers share the cores: more runs finish in an hour, but `seconds` then compare only within one ablation.
    `cluster` is the address of a Ray cluster whose cores they share instead.

    Raises RegistryError for final runs if the plan, the choices or params.yaml are not committed as they are.
    """
    choices = require_committed(used_files(plan, results)) if final else None
    if not final:
        choices_in(choices_file(plan.stem, results))  # raises now what would end it after hours of runs
    runner: Any = ThreadPoolTaskRunner(max_workers=workers)
    run_all = run_missing.with_options(task_runner=runner)
    if cluster is None:
        threads = max(1, (os.cpu_count() or 1) // workers) if workers > 1 else None
        run_all(plan, results, partial(run_here, threads=threads), choices)
    else:
        from fpplm.prediction.cluster import session
        from fpplm.studies.cluster import cpus_of_run, run_on_cluster

        with session(cluster):
            run_all(plan, results, partial(run_on_cluster, threads=cpus_of_run(workers)), choices)
    if not final:
        write_choices(plan, results)


@flow(name="ablate", log_prints=False)
def run_missing(plan: Path, results: Path, run: Callable[..., LedgerRow], choices: str | None) -> None:
    """Runs every cell that the ledger lacks. Where one fails, the others run on, and its error is raised at the end.

    `run(cell, facts=…, finished=…)` returns the row of a cell; `facts` are further fields of it, `finished` other rows.
    `choices` is the commit of the plan, params.yaml and choices of final runs; None for runs on dev.
    """
    end_on_sigterm()
    cells, ledger = cells_of(plan, results, final=choices is not None), results / "runs.jsonl"
    for corpus in sorted(read_plan(plan).corpora.keys() - {cell.corpus for cell in cells}):
        print(f"{corpus} is left out: its folder is not there")
    wanted = by_key(cells)
    finished = [row_of(wanted[key], row) for row in read_ledger(ledger) if (key := (row.key, row.code)) in wanted]
    done = {(row.key, row.code) for row in finished}
    todo = [cell for key, cell in wanted.items() if key not in done]
    print(f"{len(wanted)} runs, {len(wanted) - len(todo)} done", flush=True)
    facts = {"commit": commit_without(results), "choices": choices}
    start = time.perf_counter()
    run = partial(run, facts=facts, finished=finished)  # so wrapped, Prefect does not copy the growing list
    waiting = [execute.submit(cell, run) for cell in todo]
    failed: list[FpplmError | OSError] = []
    for number, future in enumerate(as_completed(waiting), start=1):
        try:
            row = future.result()
        except (FpplmError, OSError) as error:  # the others are worth their hours all the same
            print(f"{number}/{len(todo)} failed: {error}", flush=True)
            failed.append(error)
            continue
        append_row(ledger, row)
        finished.append(row)
        left = (time.perf_counter() - start) / number * (len(todo) - number)
        print(f"{number}/{len(todo)} (about {duration(left)} left) {line(row)}", flush=True)
    shutil.rmtree(PREPARED, ignore_errors=True)
    if failed:
        raise failed[0]


@task(task_run_name="{cell.corpus}, {cell.arm}, seed {cell.seed}", cache_policy=NO_CACHE)
def execute(cell: Cell, run: Callable[[Cell], LedgerRow]) -> LedgerRow:
    """Runs the stages of one cell. Raises FpplmError."""
    return run(cell)


def line(row: LedgerRow) -> str:
    which = f"seed {row.seed}" if row.trial is None else f"trial {row.trial}"
    scores = f"dev {row.dev_f1:.4f}" + (f", test {row.test['f1']:.4f}" if row.test else "")
    return f"{row.corpus}, {row.arm}, {which}: {scores}, {row.ended}{row.seconds:.0f} s"
