"""A forest plot as SVG: one row per difference, with its interval, in groups."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from fpplm.studies.statistics import Effect
from fpplm.studies.svg import svg

WIDTH, LABEL, VALUE, ROW = 860, 300, 190, 22  # pixels: the whole, the names, the numbers, a row


def forest(groups: Mapping[str, Mapping[str, Effect]]) -> str:
    """*groups:* title → name → difference in F1 (shares of 1; drawn in points). Readable in light and dark."""
    every = [d for group in groups.values() for d in group.values()]
    low, high = min([0.0, *(d.low for d in every)]), max([0.0, *(d.high for d in every)])
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return LABEL + (value - low) / span * (WIDTH - LABEL - VALUE)

    shapes, y = [], 0.0
    for title, group in groups.items():
        y += 1.5 * ROW
        shapes.append(f'<text x="0" y="{y}" font-weight="bold">{escape(title)} (points of F1, 95 %)</text>')
        for name, one in group.items():
            y += ROW
            middle = y - 4
            clear = one.low > 0 or one.high < 0
            colour = "#2a7f62" if clear and one.mean > 0 else "#b3423a" if clear else "#8a8a8a"
            numbers = f"{100 * one.mean:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
            shapes += [
                f'<text x="0" y="{y}">{escape(name)}</text>',
                f'<line x1="{x(one.low):.1f}" x2="{x(one.high):.1f}" y1="{middle}" y2="{middle}" stroke="{colour}" '
                'stroke-width="2"/>',
                f'<circle cx="{x(one.mean):.1f}" cy="{middle}" r="4" fill="{colour}"/>',
                f'<text x="{WIDTH}" y="{y}" text-anchor="end">{numbers}</text>',
            ]
    zero = f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{ROW}" y2="{y}" stroke="#8a8a8a" stroke-dasharray="3"/>'
    return svg(WIDTH, y + ROW, [zero, *shapes])
