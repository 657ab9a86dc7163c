"""The `export` and `verify` sections of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fpplm_core.settings import Settings, Share

Variant = Literal["fp32", "fp16", "int8"]


class ExportSettings(Settings):
    variants: list[Variant]
    refine_below: Share
    license: str


class VerifySettings(Settings):
    max_logit_delta: Annotated[float, Field(gt=0)]
    max_f1_loss: Share
    max_f1_bound: Share
