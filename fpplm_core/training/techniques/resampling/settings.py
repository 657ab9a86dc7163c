"""The block `technique.resampling` of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fpplm_core.settings import Settings


class ResamplingSettings(Settings):
    share: Annotated[float, Field(gt=0, le=1)]
    proportion: Annotated[float, Field(ge=0, le=2)]
    floor: Annotated[float, Field(gt=0, le=1)]
    dense_until: Annotated[float, Field(ge=0, le=1)]
    dense_from: Annotated[float, Field(ge=0, le=1)]
    guard: Annotated[int, Field(ge=0)]
