"""Table and figure of `benchmarks.studies.nights`: `python -m benchmarks.studies.nights_results`.

It prints the table as Markdown and writes benchmarks/results/nights.svg. Only nights that all arms of a corpus and seed
have count. The intervals are those of Student's t over nights, of 95 %; nights share data, so they are too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.harness import curves
from benchmarks.harness.curves import Mean
from benchmarks.harness.machine import RESULTS
from benchmarks.studies.nights import CORPORA, FILE
from fpplm_core.files import read_json_lines

FIGURE = RESULTS / "nights.svg"
COLOURS = {"cold": "#8a8a8a", "warm": "#b3423a", "cold every 5": "#2a7f62"}
Rows = list[Mapping[str, Any]]


def lines_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Rows]]:
    """The rows of each arm by corpus, techniques and seed, ordered by night; only nights that all its arms have."""
    found: dict[str, dict[str, Rows]] = {}
    for row in sorted(rows, key=lambda row: int(row["night"])):
        with_techniques = ", all techniques" if row["techniques"] else ""
        name = f"{row['corpus']}{with_techniques}, seed {row['seed']}"
        found.setdefault(name, {}).setdefault(row["arm"], []).append(row)
    return {
        name: {arm: own[: min(map(len, arms.values()))] for arm, own in arms.items()} for name, arms in found.items()
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Test F1 on average and after the last night, that of the type that gets rare, and the seconds of training."""
    head = "corpus, seed", "nights", "arm", "test F1, mean", "- cold", "last night", "rare type then", "s a night"
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for name, arms in lines_of(rows).items():
        for arm, own in arms.items():
            nights = own[1:]  # night 0 is the same for all
            if not nights:
                continue
            f1 = np.array([row["test_f1"] for row in nights])
            gain = ""
            if "cold" in arms and arm != "cold" and len(nights) > 1:
                gain = str(Mean.of((f1 - [row["test_f1"] for row in arms["cold"][1:]]).tolist()))
            last, seconds = nights[-1], float(np.mean([row["seconds"] for row in nights]))
            rare = "" if last["rare_f1"] is None else f"{last['rare_f1']} ({CORPORA[last['corpus']]})"
            means = f"{f1.mean():.2f}", gain, str(last["test_f1"]), rare, f"{seconds:.0f}"
            cells = [name, str(len(nights)), arm, *means]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(rows: Sequence[Mapping[str, Any]]) -> str:
    """Test F1 by night, a panel for each corpus and seed."""
    panels = {
        f"{name}: test F1": {arm: {row["night"]: Mean.of([row["test_f1"]]) for row in own} for arm, own in arms.items()}
        for name, arms in lines_of(rows).items()
        if min(map(len, arms.values())) > 1
    }
    return curves.figure(panels, COLOURS, "night", step=1)


def main() -> None:
    rows = read_json_lines(FILE)
    print(table(rows))
    FIGURE.write_text(figure(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
