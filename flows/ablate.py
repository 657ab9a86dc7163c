"""The ablation: arms × corpora × seeds from one small file, each cell the real stages in a folder of its own.

A cell is named by digests of its parameters, data and encoder, and of its code; the ledger (runs.jsonl) holds what is
finished. An ablation that was killed loses at most the cells in progress, and what has changed is run anew.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from prefect.task_runners import ThreadPoolTaskRunner

from fpplm.pipeline.flow import end_on_sigterm
from fpplm.registry.git import try_git
from fpplm.studies.ablation import Cell, grid
from fpplm.studies.ledger import LedgerRow, append_row, read_ledger
from fpplm.studies.runs import run_cell
from fpplm_core.errors import FpplmError
from fpplm_core.settings import read_yaml


def ablate(plan: Path, ledger: Path, workers: int = 1) -> None:
    """Runs what the ledger lacks, seed by seed, so that an unfinished ablation is already paired.

    Several workers share the cores: more is done in an hour, and `seconds` compare arms of the same ablation alone.
    """
    runner: Any = ThreadPoolTaskRunner(max_workers=workers)
    run_missing.with_options(task_runner=runner)(plan, ledger, workers)


@flow(name="ablate", log_prints=False)
def run_missing(plan: Path, ledger: Path, workers: int) -> None:
    """Runs every cell that the ledger lacks. Where one fails, the others run on, and its error is raised at the end."""
    end_on_sigterm()
    cells = list(grid(plan))
    for corpus in read_yaml(plan)["corpora"].keys() - {cell.corpus for cell in cells}:
        print(f"{corpus} is left out: its folder is not there")
    finished = {(row.key, row.code) for row in read_ledger(ledger)}
    todo = [cell for cell in cells if (cell.key, cell.code) not in finished]
    print(f"{len(cells)} runs, {len(cells) - len(todo)} done")
    start, commit = time.perf_counter(), try_git("describe", "--always", "--dirty")
    threads = max(1, (os.cpu_count() or 1) // workers) if workers > 1 else None
    waiting = {execute.submit(cell, threads, commit): cell for cell in todo}
    failed: list[FpplmError] = []
    for number, future in enumerate(as_completed(list(waiting)), start=1):
        try:
            row = future.result()
        except FpplmError as error:  # the others are worth their hours all the same
            print(f"{number}/{len(todo)} failed: {error}", flush=True)
            failed.append(error)
            continue
        append_row(ledger, row)
        left = (time.perf_counter() - start) / number * (len(todo) - number)
        print(f"{number}/{len(todo)} (about {left / 60:.0f} min left) {line(row)}", flush=True)
    if failed:
        raise failed[0]


@task(task_run_name="{cell.corpus}, {cell.arm}, seed {cell.seed}", cache_policy=NO_CACHE)
def execute(cell: Cell, threads: int | None, commit: str | None) -> LedgerRow:
    """Runs the stages of one cell. Raises FpplmError."""
    return run_cell(cell, threads, commit)


def line(row: LedgerRow) -> str:
    scores = f"dev {row.dev_f1:.4f}, test {row.test['f1']:.4f}, {row.seconds:.0f} s"
    return f"{row.corpus}, {row.arm}, seed {row.seed}: {scores}"
