"""The block `technique.resampling` of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fpplm_core.settings import Settings, Share


class ResamplingSettings(Settings):
    """Late in training, updates a share of the encoder's blocks at a time, drawn by their gradients."""

    blocks: Annotated[float, Field(gt=0, le=1)]
    period: Annotated[int, Field(ge=1)]
    proportion: Annotated[float, Field(ge=0, le=2)]
    begin: Share
