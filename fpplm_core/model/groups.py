"""Groups of parameters that are trained or frozen together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Group:
    """Parameters that are trained or frozen together; `depth` is 0 for the head and grows towards the input."""

    name: str
    depth: int
    modules: list[nn.Module]
    parameters: dict[str, nn.Parameter]


def top_modules(module: nn.Module, inside: set[nn.Module]) -> Iterator[nn.Module]:
    """The largest modules below `module` that share none with `inside`."""
    for child in module.children():
        if child in inside:
            continue
        if inside.isdisjoint(child.modules()):
            yield child
        else:
            yield from top_modules(child, inside)
