"""The `model` section of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fpplm_core.settings import Settings


class ModelSettings(Settings):
    encoder: Annotated[str, Field(min_length=1)]
    revision: str | None
    start: Annotated[str, Field(min_length=1)] | None
    head: Literal["linear", "mlp"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    shapes: Literal["auto", "on", "off"]
