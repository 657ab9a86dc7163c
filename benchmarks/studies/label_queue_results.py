"""Table and figure of `benchmarks.studies.label_queue`: `python -m benchmarks.studies.label_queue_results`.

It prints the table as Markdown and writes benchmarks/results/label-queue.svg. Only seeds that all arms have finished
count. Intervals are those of Student's t over the seeds, of 95 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.harness import curves
from benchmarks.harness.curves import Mean
from benchmarks.harness.machine import RESULTS
from benchmarks.studies.label_queue import ARMS, FILE, ROUNDS, START, STEP
from fpplm_core.files import read_json_lines

FIGURE = RESULTS / "label-queue.svg"
COLOURS = {"random": "#8a8a8a", "uncertainty": "#b3423a", "queue": "#2a7f62"}

Scores = dict[str, np.ndarray[Any, np.dtype[np.float64]]]  # by arm. *Shape:* (seeds, rounds)


def finished(rows: Iterable[Mapping[str, Any]], key: str) -> dict[str, Scores]:
    """The values under `key` by corpus and arm, of the seeds that all arms have finished."""
    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    for row in rows:
        found.setdefault((row["corpus"], row["seed"]), {}).setdefault(row["arm"], []).append(row[key])
    whole = {place: arms for place, arms in found.items() if all(len(arms.get(arm, [])) == ROUNDS + 1 for arm in ARMS)}
    corpora = dict.fromkeys(corpus for corpus, _ in whole)
    return {
        name: {arm: np.array([arms[arm] for (corpus, _), arms in whole.items() if corpus == name]) for arm in ARMS}
        for name in corpora
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Test F1 by corpus and number of sentences, and its difference from random sentences, seed by seed."""
    lines = [
        f"| corpus, seeds | sentences | {' | '.join(ARMS)} | uncertainty - random | queue - random | words, times |",
        "| --- " * (len(ARMS) + 5) + "|",
    ]
    f1, words = finished(rows, "test_f1"), finished(rows, "words")
    for corpus, arms in f1.items():
        seeds = len(arms["random"])
        for number in range(ROUNDS + 1):
            means = [str(Mean.of(arms[arm][:, number].tolist())) for arm in ARMS]
            gains = [str(Mean.of((arms[arm] - arms["random"])[:, number].tolist())) for arm in ("uncertainty", "queue")]
            ratio = words[corpus]["queue"][:, number].sum() / words[corpus]["random"][:, number].sum()
            cells = [f"{corpus}, {seeds}", str(START + STEP * number), *means, *(gains if number else ["", ""])]
            lines.append(f"| {' | '.join(cells)} | {ratio:.2f} |")
    return "\n".join(lines)


def figure(rows: Iterable[Mapping[str, Any]]) -> str:
    """Test F1 against the number of annotated sentences, a panel for each corpus."""
    panels = {}
    for corpus, arms in finished(rows, "test_f1").items():
        panels[f"{corpus}, {len(arms['random'])} seeds: test F1"] = {
            arm: {START + STEP * n: Mean.of(values[:, n].tolist()) for n in range(ROUNDS + 1)}
            for arm, values in arms.items()
        }
    return curves.figure(panels, COLOURS, "annotated sentences", step=5)


def main() -> None:
    rows = read_json_lines(FILE)
    print(table(rows))
    FIGURE.write_text(figure(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
