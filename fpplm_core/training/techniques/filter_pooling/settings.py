"""The block `technique.filter_pooling` of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from fpplm_core.settings import Settings, Share


class FilterPoolingSettings(Settings):
    """Fills the encodings of some words from the words around them, and hides some words altogether."""

    rate: Annotated[float, Field(ge=0, le=0.5)]
    cutoff: Annotated[float, Field(ge=0, le=0.5)]
    begin: Share
    full: Share
    fade: Share

    @model_validator(mode="after")
    def _in_order(self) -> FilterPoolingSettings:
        if not self.begin <= self.full <= self.fade:
            raise ValueError(f"begin {self.begin}, full {self.full} and fade {self.fade} must not fall")
        return self
