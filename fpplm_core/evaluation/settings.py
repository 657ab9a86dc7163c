"""The `gate` and `promotion` sections of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fpplm_core.settings import Cut, Settings, Share


class GateSettings(Settings):
    min_f1: Share
    min_type_f1: Share
    type_f1: dict[str, Share]
    slice_f1: dict[str, Share]
    max_check_warnings: Annotated[int, Field(ge=0)]


class PromotionSettings(Settings):
    alpha: Cut
    margin: Share
    max_type_loss: Share
    max_slice_loss: Share
    max_overlap: Share
    min_speed: Annotated[float, Field(ge=0)]
    max_size: Annotated[float, Field(ge=0)]
