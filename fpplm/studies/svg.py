"""The frame of a figure as SVG."""

from __future__ import annotations

from collections.abc import Iterable


def svg(width: float, height: float, shapes: Iterable[str]) -> str:
    """A figure of these shapes, in pixels; grey text is readable in light and dark."""
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="13" fill="#767676">\n{body}\n</svg>\n'
    )
