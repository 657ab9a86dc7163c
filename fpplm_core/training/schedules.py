"""Learning-rate schedules: pure functions of the progress r = step / total steps, in [0, 1]."""

from __future__ import annotations

import math


def linear(progress: float, warmup: float) -> float:
    """Rises from 0 to 1 during `warmup`, then falls to 0 at the end, in lines. Returns a factor in [0, 1]."""
    if progress < warmup:
        return progress / warmup
    return (1.0 - progress) / (1.0 - warmup) if warmup < 1.0 else 1.0


def cosine(progress: float, warmup: float) -> float:
    """As `linear`, but falls along half a cosine (SGDR, 1608.03983)."""
    factor = linear(progress, warmup)
    return factor if progress < warmup else 0.5 - 0.5 * math.cos(math.pi * factor)


def layerwise(depth: int, decay: float) -> float:
    """The share of the top block's rate at which a group learns; `depth` 1 is the top block (ULMFiT, 1801.06146)."""
    return float(decay ** (depth - 1))


SCHEDULES = {"linear": linear, "cosine": cosine}
