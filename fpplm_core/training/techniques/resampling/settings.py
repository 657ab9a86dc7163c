"""The block `technique.resampling` of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from fpplm_core.settings import Settings, Share


class ResamplingSettings(Settings):
    share: Annotated[float, Field(gt=0, le=1)]
    period: Annotated[int, Field(ge=1)]
    proportion: Annotated[float, Field(ge=0, le=2)]
    begin: Share
    until: Share

    @model_validator(mode="after")
    def _in_order(self) -> ResamplingSettings:
        if self.until < self.begin:
            raise ValueError(f"until {self.until} must not be before begin {self.begin}")
        return self
