"""`fpplm tune`: the plan of a search over the parameters of this project, and the results of its trials on dev."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fpplm.pipeline import paths
from fpplm.studies.ablation import by_key, cells_of
from fpplm.studies.ledger import LedgerRow, read_ledger, row_of
from fpplm.studies.plan import Changes, Plan
from fpplm_core.errors import FpplmError
from fpplm_core.files import write_text
from fpplm_core.params import Params
from fpplm_core.settings import yaml_text

FOLDER = paths.SCRATCH / "tune"  # of the plan and the ledger
PLAN = FOLDER / "plan.yaml"
AROUND = 4  # the rates are drawn between a quarter of the present ones and four times these


class Tuning(NamedTuple):
    """The finished trials, the best first, and the trial with params.yaml as it is."""

    rows: list[LedgerRow]
    present: LedgerRow

    @property
    def best(self) -> LedgerRow:
        """The best trial that ran to its end. Raises FpplmError if none has."""
        for row in self.rows:
            if not row.pruned:
                return row
        do = "lower train.lr and train.head_lr in params.yaml, or the rates in --space"
        raise FpplmError("every trial diverged or was pruned", do=do)


def default_space(params: Params) -> dict[str, Any]:
    """The default search space: rates around the present ones, warm-up, epochs, and the batch or twice the batch."""
    train = params.train
    rates = {"train.lr": train.lr, "train.head_lr": train.head_lr}
    space: dict[str, Any] = {
        name: {"low": rate / AROUND, "high": min(0.9, rate * AROUND)} for name, rate in rates.items()
    }
    pieces = [train.batch_pieces, 2 * train.batch_pieces]
    return {**space, "train.warmup": [0, 0.1, 0.3], "train.epochs": [6, 12, 24], "train.batch_pieces": pieces}


def write_plan(params: Params, trials: int, space: Changes | None) -> Path:
    """Writes the plan of a search in this project; `space` None is the default one. Raises ParamsError if invalid."""
    search = {"trials": trials, "space": default_space(params) if space is None else space, "present": True}
    plan = {"seeds": [params.train.seed], "corpora": {"project": {}}, "arms": {"tuned": {}}, "search": search}
    Plan.parse(plan, "the space")
    write_text(PLAN, yaml_text(plan))
    return PLAN


def tuned() -> Tuning:
    """The trials of the plan. Raises KeyError if one of them is not in the ledger."""
    ledger = {(row.key, row.code): row for row in read_ledger(FOLDER / "runs.jsonl")}
    cells = by_key(cells_of(PLAN, FOLDER, final=False))
    rows = [row_of(cell, ledger[key]) for key, cell in cells.items()]
    return Tuning(sorted(rows, key=lambda row: -row.dev_f1), rows[0])


def lines(found: Tuning) -> Iterator[str]:
    """A line for each trial, then the best values, if they are better than params.yaml.

    Raises FpplmError, after the trials, if none ran to its end.
    """
    for row in found.rows:
        values = ", ".join(f"{name} {value}" for name, value in row.values.items()) or "params.yaml as it is"
        yield f"dev F1 {row.dev_f1:.4f}  {row.ended}{row.seconds:.0f} s  {values}"
    best, present = found.best, found.present
    if best.values:
        score = f"{best.dev_f1:.4f}" if present.pruned else f"{best.dev_f1 - present.dev_f1:+.4f} over params.yaml"
        yield f"best: {score}, on dev, which chose it"
        yield from (f"{name}: {value}" for name, value in best.values.items())
    else:
        yield "no trial is better than params.yaml as it is"
