"""A bar chart as SVG: a bar a row with its spread, groups one below the other. Readable in light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from fpplm.studies.svg import svg

WIDTH, LABEL, VALUE, ROW = 860, 260, 190, 22  # pixels: the whole, the names, the numbers, a row


def bars(groups: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """*groups:* title → name → the lowest, the median and the highest value; names that begin with fpplm stand out."""
    shapes, y = [], 0.0
    for title, group in groups.items():
        y += 1.5 * ROW
        shapes.append(f'<text x="0" y="{y}" font-weight="bold">{escape(title)}</text>')
        scale = (WIDTH - LABEL - VALUE) / max(high for _, _, high in group.values())
        for name, (low, middle, high) in group.items():
            y += ROW
            colour = "#2a7f62" if name.startswith("fpplm") else "#8a8a8a"
            text = f"{_number(middle)} [{_number(low)}, {_number(high)}]"
            shapes += [
                f'<text x="0" y="{y}">{escape(name)}</text>',
                f'<rect x="{LABEL}" y="{y - 13}" width="{middle * scale:.1f}" height="14" fill="{colour}"/>',
                f'<line x1="{LABEL + low * scale:.1f}" x2="{LABEL + high * scale:.1f}" y1="{y - 6}" y2="{y - 6}" '
                'stroke="#b3423a" stroke-width="2"/>',
                f'<text x="{WIDTH}" y="{y}" text-anchor="end">{text}</text>',
            ]
    return svg(WIDTH, y + ROW, shapes)


def _number(value: float) -> str:
    """With four digits, and all of those before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
