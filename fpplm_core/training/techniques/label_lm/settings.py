"""The block `technique.label_lm` of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fpplm_core.settings import Settings, Share

Weight = Annotated[float, Field(ge=0, le=10)]


class LabelLmSettings(Settings):
    """A small language model over labels learns to correct them, and teaches the tagger while it is ahead."""

    weight: Weight
    feedback: Weight
    noise: Share
    hide: Share
    width: Annotated[int, Field(ge=8, multiple_of=4)]
    bias: Share
