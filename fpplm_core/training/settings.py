"""The `train` section of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fpplm_core.settings import Settings, Share


class TrainParams(Settings):
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    epochs: Annotated[int, Field(ge=1)]
    batch_pieces: Annotated[int, Field(ge=8)]
    lr: Annotated[float, Field(gt=0, lt=1)]
    head_lr: Annotated[float, Field(gt=0, lt=1)]
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    schedule: Literal["linear", "cosine"]
    warmup: Share
    weight_decay: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: Annotated[float, Field(gt=0)]
    ema: Annotated[float, Field(ge=0, lt=1)]
    lean: Annotated[float, Field(ge=0, le=1)]
    patience: Annotated[int, Field(ge=1)]
    precision: Literal["auto", "float32", "bfloat16"]
    device: Literal["auto", "cpu", "cuda"]
    processes: Annotated[int, Field(ge=1)]
    checkpoint_steps: Annotated[int, Field(ge=1)]
