"""Table and figure of `benchmarks.studies.nights`: `python -m benchmarks.studies.nights_results`.

It prints the table as Markdown and writes benchmarks/results/nights.svg. Only nights that all arms of a corpus and seed
have count. The intervals are those of Student's t over nights, of 95 %; nights share data, so they are too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from benchmarks.harness import ledger
from benchmarks.harness.machine import RESULTS
from benchmarks.studies.label_queue_results import Mean
from benchmarks.studies.nights import CORPORA, FILE

FIGURE = RESULTS / "nights.svg"
COLOURS = {"cold": "#8a8a8a", "warm": "#b3423a", "cold every 5": "#2a7f62"}
WIDTH, HEIGHT, LEFT, RIGHT, EDGE = 860, 260, 50, 150, 40  # pixels of a panel
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
    """Test F1 by night, a panel for each corpus and seed; readable in light and dark."""
    panels = [(name, arms) for name, arms in lines_of(rows).items() if min(map(len, arms.values())) > 1]
    shapes = [
        f'<g transform="translate(0 {number * HEIGHT})">{_panel(name, arms)}</g>'
        for number, (name, arms) in enumerate(panels)
    ]
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {max(1, len(panels)) * HEIGHT}" '
        f'font-family="sans-serif" font-size="13" fill="#767676">\n{body}\n</svg>\n'
    )


def _panel(name: str, arms: Mapping[str, Rows]) -> str:
    curves = {arm: [float(row["test_f1"]) for row in own] for arm, own in arms.items()}
    values = [value for curve in curves.values() for value in curve]
    low, high, nights = min(values) - 1, max(values) + 1, max(len(curve) for curve in curves.values()) - 1
    bottom, right = HEIGHT - EDGE, WIDTH - RIGHT

    def x(night: int) -> float:
        return LEFT + 20 + night * (right - LEFT - 40) / nights

    def y(value: float) -> float:
        return 30 + (high - value) / (high - low) * (bottom - 30)

    shapes = [
        f'<text x="0" y="18" font-weight="bold">{escape(name)}: test F1</text>',
        f'<line x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}" stroke="#8a8a8a"/>',
        f'<text x="{right}" y="{HEIGHT - 6}" text-anchor="end">night</text>',
        *(f'<text x="{x(n):.1f}" y="{bottom + 16}" text-anchor="middle">{n}</text>' for n in range(nights + 1)),
    ]
    for value in range(int(np.ceil(low)), int(high) + 1, 2):
        shapes.append(f'<line x1="{LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#8a8a8a40"/>')
        shapes.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value}</text>')
    below = 0.0
    for arm, curve in sorted(curves.items(), key=lambda item: -item[1][-1]):
        colour = COLOURS[arm]
        path = " ".join(f"{x(night):.1f},{y(value):.1f}" for night, value in enumerate(curve))
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        below = max(y(curve[-1]) + 4, below + 16)
        shapes.append(f'<text x="{right + 8}" y="{below:.1f}" fill="{colour}">{arm} {curve[-1]:.1f}</text>')
    return "\n".join(shapes)


def main() -> None:
    rows = ledger.read(FILE)
    print(table(rows))
    FIGURE.write_text(figure(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
