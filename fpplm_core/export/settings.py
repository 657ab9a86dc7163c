"""The `export` and `verify` sections of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fpplm_core.settings import Section, Share

Variant = Literal["fp32", "fp16", "int8", "mixed"]


class ExportSettings(Section):
    variants: list[Variant]
    refine_below: Share


class VerifySettings(Section):
    max_logit_delta: Annotated[float, Field(gt=0)]
    max_f1_loss: Share
