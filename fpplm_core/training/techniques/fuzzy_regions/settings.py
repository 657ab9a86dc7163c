"""The block `technique.fuzzy_regions` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fpplm_core.settings import Settings


class FuzzyRegionsSettings(Settings):
    frozen_until: Annotated[float, Field(ge=0, le=0.9)]
    open_by: Annotated[float, Field(ge=0, le=0.9)]
    warmup: Annotated[float, Field(ge=0, le=0.5)]
    order: Literal["top_down", "fuzziest"]
    moment: Literal["schedule", "settled"]
    settled: Annotated[float, Field(gt=0)]
    probes: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _in_time(self) -> FuzzyRegionsSettings:
        if self.open_by < self.frozen_until:
            raise ValueError(f"open_by {self.open_by} must not be before frozen_until {self.frozen_until}")
        return self
