"""Runs the cells of an ablation on a Ray cluster whose machines all have the project at the same path."""

from __future__ import annotations

import os
import pickle
from typing import Any

import ray

from fpplm.studies.ablation import ROOT, Cell
from fpplm.studies.ledger import LedgerRow
from fpplm_core.errors import FpplmError


def cpus_of_run(workers: int) -> int:
    """The CPUs of each of so many runs at once; no more than the smallest machine has."""
    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return max(1, min([sum(machines) // workers, *filter(None, machines)]))


def run_on_cluster(cell: Cell, threads: int, facts: dict[str, Any], finished: list[LedgerRow]) -> LedgerRow:
    """Runs a cell where the cluster has CPUs for it; it may be pruned by the rows that have finished by now.

    Raises FpplmError if a stage fails.
    """
    # Pickled twice: unpickling imports modules that look at the folder, which the process must have entered before.
    given = pickle.dumps((cell, threads, facts, finished))
    run = ray.remote(_run).options(num_cpus=threads, max_retries=1)
    try:
        row: LedgerRow = pickle.loads(ray.get(run.remote(str(ROOT), given)))
        return row
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        where = f"{cell.corpus}, {cell.arm}, seed {cell.seed}"
        raise FpplmError("the cluster lost the run", where=where, got=str(error), do="run it again") from None


def _run(root: str, given: bytes) -> bytes:
    os.chdir(root)
    from fpplm.studies.runs import run_here

    return pickle.dumps(run_here(*pickle.loads(given)))
