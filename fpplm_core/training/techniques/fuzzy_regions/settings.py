"""The block `technique.fuzzy_regions` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fpplm_core.settings import Settings


class FuzzyRegionsSettings(Settings):
    frozen: Annotated[float, Field(ge=0, le=0.9)]
    covered: Annotated[float, Field(ge=0, le=0.9)]
    rise: Annotated[float, Field(ge=0, le=0.5)]
    order: Literal["top_down", "fuzziest"]
    moment: Literal["schedule", "settled"]
    settled: Annotated[float, Field(gt=0)]
    probes: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _in_time(self) -> FuzzyRegionsSettings:
        if self.covered < self.frozen:
            raise ValueError(f"covered {self.covered} must not be before frozen {self.frozen}")
        return self
