"""F1 against training time as SVG: one point for each arm."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from fpplm.studies.svg import svg

WIDTH, HEIGHT, LEFT, RIGHT, EDGE = 860, 420, 60, 240, 40  # pixels


def scatter(points: Mapping[str, tuple[float, float]]) -> str:
    """*points:* name → seconds of a training and F1 (a share of 1; drawn in points). Readable in light and dark."""
    seconds, scores = ([point[axis] for point in points.values()] for axis in (0, 1))
    longest, low, high = max(seconds), min(scores), max(scores)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return LEFT + value / longest * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return EDGE + (high - value) / span * (HEIGHT - 3 * EDGE)

    bottom = HEIGHT - EDGE
    shapes = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}" stroke="#8a8a8a"/>',
        f'<line x1="{LEFT}" x2="{LEFT}" y1="{EDGE}" y2="{bottom}" stroke="#8a8a8a"/>',
        f'<text x="0" y="{EDGE - 16}">test F1</text>',
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 12}" text-anchor="end">seconds, 0 to {longest:.0f}</text>',
    ]
    for name, (taken, f1) in points.items():
        shapes += [
            f'<circle cx="{x(taken):.1f}" cy="{y(f1):.1f}" r="5" fill="#2a7f62"/>',
            f'<text x="{x(taken) + 9:.1f}" y="{y(f1) + 4:.1f}">{escape(name)}: {100 * f1:.1f}, {taken:.0f} s</text>',
        ]
    return svg(WIDTH, HEIGHT, shapes)
