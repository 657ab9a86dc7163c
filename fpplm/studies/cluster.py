"""Runs the cells of an ablation on a Ray cluster whose machines all have the project at the same path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ray

from fpplm.studies.ablation import Cell
from fpplm.studies.ledger import LedgerRow
from fpplm.studies.runs import run_here
from fpplm_core.errors import FpplmError


def cpus_of_run(workers: int) -> int:
    """The CPUs of each of so many runs at once; no more than the smallest machine has."""
    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return max(1, min([sum(machines) // workers, *filter(None, machines)]))


def run_on_cluster(cell: Cell, threads: int, facts: dict[str, Any], finished: list[LedgerRow]) -> LedgerRow:
    """Runs a cell where the cluster has CPUs for it; it may be pruned by the rows that have finished by now.

    Raises FpplmError if a stage fails.
    """
    run = ray.remote(_run).options(num_cpus=threads, max_retries=1)
    try:
        row: LedgerRow = ray.get(run.remote(str(Path.cwd()), cell, threads, facts, finished))
        return row
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        where = f"{cell.corpus}, {cell.arm}, seed {cell.seed}"
        raise FpplmError("the cluster lost the run", where=where, got=str(error), do="run it again") from None


def _run(project: str, *given: Any) -> LedgerRow:
    os.chdir(project)
    return run_here(*given)
