"""The block `technique.adversarial` of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from fpplm_core.settings import Settings, Share, begin_before_full

Weight = Annotated[float, Field(ge=0, le=50)]


class AdversarialSettings(Settings):
    """Attacks the word embeddings and the logits; a rival learns the tagger's errors and adds to them."""

    epsilon: Annotated[float, Field(ge=0, le=10)]
    input_every: Annotated[int, Field(ge=1)]
    rival_budget: Annotated[float, Field(ge=0, le=10)]
    virtual: Weight
    consistency: Weight
    label_correction: Share
    begin: Share
    full: Share
    input_until: Share

    _in_order = model_validator(mode="after")(begin_before_full)
