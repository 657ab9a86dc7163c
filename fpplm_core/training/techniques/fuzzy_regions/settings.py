"""The block `technique.fuzzy_regions` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fpplm_core.settings import Settings


class FuzzyRegionsSettings(Settings):
    """Trains everything but the encoder first; then the groups of the encoder open one by one."""

    frozen_steps: Annotated[int, Field(ge=0)]
    open_by: Annotated[float, Field(ge=0, le=0.9)]
    warmup: Annotated[float, Field(ge=0, le=0.5)]
    order: Literal["top_down", "fuzziest"]
    moment: Literal["schedule", "settled"]
    settled: Annotated[float, Field(gt=0)]
