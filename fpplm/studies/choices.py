"""The values that the trials of a plan chose on dev: a file that is committed before the final runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fpplm.studies.ablation import cells_of
from fpplm.studies.ledger import LedgerRow, read_ledger, row_of
from fpplm.studies.plan import Choices, choices_file, choices_in, read_plan
from fpplm_core.files import write_text
from fpplm_core.settings import yaml_text

HEADING = "# What the trials on dev chose. Commit it, then: fpplm ablate PLAN --final\n"


def write_choices(plan: Path, results: Path) -> None:
    """Writes the choices of a plan, if it searches; those of corpora whose folder is not here stay.

    Raises KeyError if one of its trials is not in the ledger.
    """
    wanted, file = read_plan(plan), choices_file(plan.stem, results)
    cells = cells_of(plan, results, final=False)
    if wanted.search is None or not cells:
        return
    rows = {(row.key, row.code): row for row in read_ledger(results / "runs.jsonl")}
    chosen = choose(row_of(cell, rows[cell.key, cell.code]) for cell in cells)
    earlier = choices_in(file)
    for corpus in wanted.corpora.keys() - {cell.corpus for cell in cells}:
        for arm in wanted.arms.keys() & {arm for arm, own in earlier.items() if corpus in own}:
            chosen.setdefault(arm, {})[corpus] = earlier[arm][corpus]
    write_text(file, HEADING + yaml_text(chosen))


def choose(rows: Iterable[LedgerRow]) -> Choices:
    """For each arm and corpus the trial with the best dev F1; of equal ones, the first. Pruned trials do not count."""
    chosen: Choices = {}
    for row in sorted(rows, key=lambda row: (-row.dev_f1, row.trial)):
        if not row.pruned:
            choice = {"values": row.values, "trial": row.trial, "dev_f1": round(row.dev_f1, 4)}
            chosen.setdefault(row.arm, {}).setdefault(row.corpus, choice)
    return chosen
