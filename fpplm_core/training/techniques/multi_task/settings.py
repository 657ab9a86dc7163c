"""The block `technique.multi_task` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fpplm_core.settings import Settings

Weight = Annotated[float, Field(ge=0, le=10)]


class MultiTaskSettings(Settings):
    """Adds losses for pairs of labels, types in the sentence, neighbouring labels and boundaries."""

    pair: Weight
    pair_kind: Literal["pair", "crf"]
    presence: Weight
    neighbours: Weight
    boundary: Weight
    second: Weight
    masked_lm: Weight
    anchor: Annotated[float, Field(ge=0, lt=1)]
    weights: Literal["fixed", "uncertainty"]
