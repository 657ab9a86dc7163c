"""Means with their intervals: as text, and as curves in SVG that are readable in light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from scipy import stats

from fpplm.studies.svg import svg

WIDTH, HEIGHT, LEFT, RIGHT, EDGE = 860, 300, 60, 150, 40  # pixels of a panel


class Mean(NamedTuple):
    """A mean over seeds and half of its interval, not a number for a single seed."""

    value: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        count = len(values)
        spread = float(np.std(values, ddof=1)) / count**0.5 if count > 1 else float("nan")
        return cls(float(np.mean(values)), spread * float(stats.t.ppf(0.975, count - 1)))

    @property
    def ends(self) -> tuple[float, float]:
        """Of the interval; the mean itself for a single seed."""
        half = 0.0 if np.isnan(self.half) else self.half
        return self.value - half, self.value + half

    def __str__(self) -> str:
        return f"{self.value:.1f} ± {self.half:.1f}"


Curves = Mapping[str, Mapping[int, Mean]]  # by name, the mean at each place of the x axis


def figure(panels: Mapping[str, Curves], colours: Mapping[str, str], unit: str, step: int) -> str:
    """The panels by title, one below the other; `unit` is that of the x axis, a line runs across every `step` points.

    All curves of a panel have the same places.
    """
    shapes = (
        f'<g transform="translate(0 {number * HEIGHT})">{_panel(title, curves, colours, unit, step)}</g>'
        for number, (title, curves) in enumerate(panels.items())
    )
    return svg(WIDTH, max(1, len(panels)) * HEIGHT, shapes)


def _panel(title: str, curves: Curves, colours: Mapping[str, str], unit: str, step: int) -> str:
    ends = [end for curve in curves.values() for mean in curve.values() for end in mean.ends]
    low, high, bottom, right = min(ends), max(ends), HEIGHT - EDGE, WIDTH - RIGHT
    ticks = [*next(iter(curves.values()))]

    def x(tick: int) -> float:
        return LEFT + 20 + (tick - ticks[0]) * (right - LEFT - 40) / (ticks[-1] - ticks[0])

    def y(value: float) -> float:
        return EDGE + (high - value) / (high - low or 1.0) * (bottom - EDGE - 10)

    shapes = [
        f'<text x="0" y="18" font-weight="bold">{escape(title)}</text>',
        f'<line x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}" stroke="#8a8a8a"/>',
        f'<text x="{right}" y="{HEIGHT - 6}" text-anchor="end">{unit}</text>',
    ]
    for value in range(int(np.ceil(low / step)) * step, int(high) + 1, step):
        shapes.append(f'<line x1="{LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#8a8a8a40"/>')
        shapes.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value}</text>')
    for tick in ticks:
        shapes.append(f'<text x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick}</text>')
    below = 0.0
    for name, curve in sorted(curves.items(), key=lambda item: -item[1][ticks[-1]].value):
        beside = 4 * ([*curves].index(name) - (len(curves) - 1) / 2)  # so that intervals do not hide each other
        places = [(x(tick) + beside, mean) for tick, mean in curve.items()]
        path = " ".join(f"{place:.1f},{y(mean.value):.1f}" for place, mean in places)
        colour, last = colours[name], curve[ticks[-1]].value
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for place, mean in places:
            least, most = map(y, mean.ends)
            shapes.append(f'<circle cx="{place:.1f}" cy="{y(mean.value):.1f}" r="4" fill="{colour}"/>')
            shapes.append(
                f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{least:.1f}" y2="{most:.1f}" stroke="{colour}"/>'
            )
        below = max(y(last) + 4, below + 16)
        shapes.append(f'<text x="{right + 8}" y="{below:.1f}" fill="{colour}">{name} {last:.1f}</text>')
    return "\n".join(shapes)
