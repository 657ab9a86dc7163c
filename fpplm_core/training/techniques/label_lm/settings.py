"""The block `technique.label_lm` of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from fpplm_core.settings import Settings, Share

Weight = Annotated[float, Field(ge=0, le=10)]


class LabelLmSettings(Settings):
    weight: Weight
    feedback: Weight
    begin: Share
    full: Share
    init_steps: Annotated[int, Field(ge=1)]
    noise: Share
    hide: Share
    width: Annotated[int, Field(ge=8, multiple_of=4)]
    bias: Share

    @model_validator(mode="after")
    def _in_order(self) -> LabelLmSettings:
        if self.full < self.begin:
            raise ValueError(f"full {self.full} must not be before begin {self.begin}")
        return self
