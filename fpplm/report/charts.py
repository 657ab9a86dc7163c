"""The curves of the report: from tables of numbers to what an SVG needs."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

DRAWN_POINTS = 500  # points of a curve: more make the page heavy, and no screen can show them
LEFT, RIGHT, TOP, BOTTOM = 46, 346, 14, 184  # the plotting area of a chart in CSS pixels


Point = tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """A curve in the form that the SVG needs; without `points` there is nothing to draw.

    `points` are the finite values of the table; everything else is in pixels: `line` and `raw` are paths, ticks have a
    position and a label, and `dots` (x, y, best?) are drawn if each point counts. `best` is the first of the
    highest points.
    """

    title: str
    unit: str
    points: list[Point]
    not_finite: int
    raw: str | None = None
    line: str = ""
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)
    dots: list[tuple[float, float, bool]] = field(default_factory=list)
    best: Point | None = None
    box: tuple[int, int, int, int] = (LEFT, RIGHT, TOP, BOTTOM)


def training_charts(folder: Path) -> list[Chart]:
    """A chart of each loss, of the learning rate, and of dev F1 with its best epoch, for training so far."""
    steps, epochs = read_columns(folder / "steps.csv"), read_columns(folder / "epochs.csv")
    charts = [
        line_chart(f"loss: {name}", "step", steps["step"], values, smoothed=True)
        for name, values in steps.items()
        if name not in ("step", "lr")
    ]
    if steps:
        charts.append(line_chart("learning rate", "step", steps["step"], steps["lr"]))
    if epochs:
        charts.append(line_chart("dev F1", "epoch", epochs["epoch"], epochs["dev_f1"], dots=True))
    return charts


def read_columns(path: Path) -> dict[str, list[float | None]]:
    """The columns of a table of numbers, None if a cell is empty; no column where the table is empty or missing."""
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []
    return {name: [float(row[name]) if row[name] else None for row in rows] for name in (rows[0] if rows else ())}


def line_chart(
    title: str,
    unit: str,
    xs: Sequence[float | None],
    ys: Sequence[float | None],
    *,
    smoothed: bool = False,
    dots: bool = False,
) -> Chart:
    """The chart of a curve. A value is None if its technique was off at that step."""
    known = [(x, y) for x, y in zip(xs, ys, strict=True) if x is not None and y is not None]
    points = [(x, y) for x, y in known if math.isfinite(y)]
    not_finite = len(known) - len(points)
    if not points:
        return Chart(title, unit, points, not_finite)
    x_ticks, y_ticks = ticks([x for x, _ in points], whole=True), ticks([y for _, y in points])
    x_low, x_high = points[0][0], max(points[-1][0], points[0][0] + 1)

    def across(x: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * (x - x_low) / (x_high - x_low), 1)

    def down(y: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]), 1)

    def path(curve: Sequence[Point]) -> str:
        thin = [*curve[:: math.ceil(len(curve) / DRAWN_POINTS)], curve[-1]]
        return "M" + " ".join(f"{across(x)},{down(y)}" for x, y in thin)

    best = max(points, key=lambda point: point[1])
    return Chart(
        title,
        unit,
        points,
        not_finite,
        raw=path(points) if smoothed else None,
        line=path(running_mean(points) if smoothed else points),
        x_ticks=[(across(x), f"{x:g}") for x in x_ticks if x_low <= x <= x_high],
        y_ticks=[(down(y), f"{y:g}") for y in y_ticks],
        dots=[(across(x), down(y), (x, y) == best) for x, y in points] if dots else [],
        best=best,
    )


def running_mean(points: Sequence[Point]) -> list[Point]:
    """The exponential mean over about a sixtieth of the curve, which shows the trend with little lag."""
    reach = max(3.0, len(points) / 60)
    means = accumulate((y for _, y in points), lambda mean, y: mean + (y - mean) / reach)
    return [(x, mean) for (x, _), mean in zip(points, means, strict=True)]


def ticks(values: Sequence[float], whole: bool = False) -> list[float]:
    """Round numbers in even steps that reach from the lowest to the highest value or beyond."""
    low, high = min(values), max(values)
    about = (high - low) / 4 or abs(high) / 4 or 1.0
    power = 10.0 ** math.floor(math.log10(about))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= about * 0.999)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, max(last, first + 1) + 1)]
