"""Table and figure of `benchmarks.studies.label_queue`: `python -m benchmarks.studies.label_queue_results`.

It prints the table as Markdown and writes benchmarks/results/label-queue.svg. Only seeds that all arms have finished
count. Intervals are those of Student's t over the seeds, of 95 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from benchmarks.harness import ledger
from benchmarks.harness.machine import RESULTS
from benchmarks.studies.label_queue import ARMS, FILE, ROUNDS, START, STEP

FIGURE = RESULTS / "label-queue.svg"
COLOURS = {"random": "#8a8a8a", "uncertainty": "#b3423a", "queue": "#2a7f62"}
WIDTH, HEIGHT, LEFT, RIGHT, EDGE = 860, 300, 60, 150, 40  # pixels of a panel

Scores = dict[str, np.ndarray[Any, np.dtype[np.float64]]]  # by arm. *Shape:* (seeds, rounds)


class Mean(NamedTuple):
    """A mean over seeds and half of its interval, not a number for a single seed."""

    value: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        count = len(values)
        spread = float(np.std(values, ddof=1)) / count**0.5 if count > 1 else float("nan")
        return cls(float(np.mean(values)), spread * float(stats.t.ppf(0.975, count - 1)))

    def __str__(self) -> str:
        return f"{self.value:.1f} ± {self.half:.1f}"


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


def figure(rows: Sequence[Mapping[str, Any]]) -> str:
    """Test F1 against the number of annotated sentences, a panel for each corpus; readable in light and dark."""
    shapes = []
    f1 = finished(rows, "test_f1")
    for panel, (corpus, arms) in enumerate(f1.items()):
        means = {arm: [Mean.of(values[:, n].tolist()) for n in range(ROUNDS + 1)] for arm, values in arms.items()}
        shapes.append(f'<g transform="translate(0 {panel * HEIGHT})">{_panel(corpus, len(arms["random"]), means)}</g>')
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {max(1, len(f1)) * HEIGHT}" '
        f'font-family="sans-serif" font-size="13" fill="#767676">\n{body}\n</svg>\n'
    )


def _panel(corpus: str, seeds: int, means: Mapping[str, Sequence[Mean]]) -> str:
    spread = {arm: [0.0 if np.isnan(mean.half) else mean.half for mean in row] for arm, row in means.items()}
    low = min(mean.value - half for arm, row in means.items() for mean, half in zip(row, spread[arm], strict=True))
    high = max(mean.value + half for arm, row in means.items() for mean, half in zip(row, spread[arm], strict=True))
    bottom, right = HEIGHT - EDGE, WIDTH - RIGHT

    def x(number: int, arm: str) -> float:
        beside = 4.0 * (list(means).index(arm) - 1)  # so that intervals do not hide each other
        return LEFT + 20 + beside + number * (right - LEFT - 40) / ROUNDS

    def y(value: float) -> float:
        return EDGE + (high - value) / (high - low) * (bottom - EDGE - 10)

    shapes = [
        f'<text x="0" y="18" font-weight="bold">{escape(corpus)}, {seeds} seeds: test F1</text>',
        f'<line x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}" stroke="#8a8a8a"/>',
        f'<text x="{right}" y="{HEIGHT - 6}" text-anchor="end">annotated sentences</text>',
    ]
    for value in range(int(np.ceil(low / 5)) * 5, int(high) + 1, 5):
        shapes.append(f'<line x1="{LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#8a8a8a40"/>')
        shapes.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value}</text>')
    for number in range(ROUNDS + 1):
        at = x(number, ARMS[1])
        shapes.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{START + STEP * number}</text>')
    ends: list[float] = []
    for arm, row in sorted(means.items(), key=lambda item: -item[1][-1].value):
        places = [(x(n, arm), mean.value, half) for n, (mean, half) in enumerate(zip(row, spread[arm], strict=True))]
        path = " ".join(f"{place:.1f},{y(value):.1f}" for place, value, _ in places)
        colour = COLOURS[arm]
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for place, value, half in places:
            shapes.append(f'<circle cx="{place:.1f}" cy="{y(value):.1f}" r="4" fill="{colour}"/>')
            shapes.append(
                f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{y(value - half):.1f}" y2="{y(value + half):.1f}" '
                f'stroke="{colour}"/>'
            )
        ends.append(max(y(row[-1].value) + 4, ends[-1] + 16 if ends else 0))
        shapes.append(f'<text x="{right + 8}" y="{ends[-1]:.1f}" fill="{colour}">{arm} {row[-1].value:.1f}</text>')
    return "\n".join(shapes)


def main() -> None:
    rows = ledger.read(FILE)
    print(table(rows))
    FIGURE.write_text(figure(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
