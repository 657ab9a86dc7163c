"""The `export` and `verify` sections of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fpplm_core.settings import Settings, Share

Variant = Literal["fp32", "fp16", "int8", "mixed"]


class ExportParams(Settings):
    variants: list[Variant]
    opset: Annotated[int, Field(ge=18, le=23)]
    refine_below: Share


class VerifyParams(Settings):
    max_logit_delta: Annotated[float, Field(gt=0)]
    max_f1_loss: Share
