"""The `train` and `technique` sections of params.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, create_model, field_validator, model_validator

from fpplm_core.settings import Settings, Share, begin_before_full, guess
from fpplm_core.training import techniques


class SelfTrainingSettings(Settings):
    weight: Annotated[float, Field(ge=0, le=10)]
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    ratio: Annotated[float, Field(gt=0, le=8)]
    hidden: Annotated[float, Field(ge=0, le=0.5)]
    begin: Share
    full: Share

    _in_order = model_validator(mode="after")(begin_before_full)


class TrainSettings(Settings):
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    epochs: Annotated[int, Field(ge=1)] | Literal["auto"]
    batch_pieces: Annotated[int, Field(ge=8)]
    lr: Annotated[float, Field(gt=0, lt=1)]
    head_lr: Annotated[float, Field(gt=0, lt=1)]
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    schedule: Literal["linear", "cosine"]
    warmup: Share | Literal["auto"]
    weight_decay: Annotated[float, Field(ge=0, lt=1)]
    ema: Annotated[float, Field(ge=0, lt=1)]
    f1_shift: Share
    patience: Annotated[int, Field(ge=1)] | Literal["auto"]
    precision: Literal["auto", "float32", "bfloat16"]
    device: Literal["auto", "cpu", "cuda"]
    processes: Annotated[int, Field(ge=1)]
    checkpoint_steps: Annotated[int, Field(ge=1)]
    self_training: SelfTrainingSettings


class TechniqueBlocks(Settings):
    """The techniques that are on, and a block for every technique, on or off."""

    active: list[str]

    @field_validator("active")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        known = [name for name in cls.model_fields if name != "active"]
        for name in names:
            if name not in known:
                raise ValueError(f"unknown technique {name!r}; {guess(name, known)}known: {', '.join(known)}")
        return names

    def blocks(self) -> dict[str, Settings]:
        """The blocks of the active techniques by name, in an order that does not depend on how they are listed."""
        return {name: getattr(self, name) for name in sorted(set(self.active))}


if TYPE_CHECKING:
    TechniqueSettings = TechniqueBlocks
else:  # one field per technique in the folder
    blocks = {name: (kind, ...) for name, kind in techniques.settings().items()}
    TechniqueSettings = create_model("TechniqueSettings", __base__=TechniqueBlocks, __module__=__name__, **blocks)
