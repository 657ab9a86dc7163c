"""The `data` and `encode` sections of params.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Misaligned, Options, Overlap, Repair, Separator, format_names
from fpplm_core.data.segmenter import RENAMED, RULES, segmentation
from fpplm_core.settings import Cut, Settings
from fpplm_core.tagging.schemes import SCHEMES
from fpplm_core.tagging.words import OWN

LONGEST_DESCRIPTION = 200  # characters of the description of a type


class SecondSettings(Settings):
    """The source of a second task's labels; None means the same as for the first task."""

    train: str | None = None
    format: str | None = None
    word_column: int | str | None = None
    tag_column: int | str | None = None


class DataSettings(Settings):
    path: str
    train: str
    dev: str | None
    test: str | None
    format: str
    word_column: int | str | None
    tag_column: int | str | None
    separator: Separator
    scheme: Literal["auto", *SCHEMES]  # type: ignore[valid-type]
    types: list[Annotated[str, Field(min_length=1)]]
    describe: dict[str, Annotated[str, Field(min_length=1, max_length=LONGEST_DESCRIPTION)]]
    repair: Repair
    segmentation: str
    misaligned: Misaligned
    overlap: Overlap
    held_out: Cut
    split_seed: Annotated[int, Field(ge=0)]
    incoming: Annotated[str, Field(min_length=1)] | None
    unlabelled: Annotated[str, Field(min_length=1)] | None
    second: SecondSettings | None

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ("auto", *format_names()):
            raise ValueError(f"use auto, or one of {', '.join(format_names())}")
        return name

    @field_validator("segmentation")
    @classmethod
    def _segmented(cls, name: str) -> str:
        if name in RENAMED:
            raise ValueError(f"renamed; use {RENAMED[name]}")
        if name not in RULES and not re.fullmatch(r"[\w.]+:\w+", name):
            raise ValueError(f"use {', '.join(RULES)} or MODULE:FUNCTION")
        return name

    @field_validator("describe")
    @classmethod
    def _of_several_types(cls, descriptions: dict[str, str]) -> dict[str, str]:
        if len(descriptions) == 1:
            raise ValueError("describe at least two types, or none: descriptions tell types apart")
        return descriptions

    @property
    def segmentation_rule(self) -> str:
        """How a bundle names the segmentation: the versioned rule, or OWN for a user's segmenter."""
        return RULES.get(self.segmentation, OWN)

    def options(self, notes: Notes) -> Options:
        """How files are read; `notes` counts what reading changes or leaves out."""
        return Options(
            self.word_column,
            self.tag_column,
            self.separator,
            segmentation(self.segmentation),
            self.misaligned,
            self.overlap,
            notes=notes,
        )

    @model_validator(mode="after")
    def _outside(self) -> DataSettings:
        for name in ("incoming", "unlabelled"):
            if (folder := getattr(self, name)) and Path(folder).is_relative_to(self.path):
                raise ValueError(f"{name} {folder} must not lie in path {self.path}, which holds the training data")
        return self


class EncodeSettings(Settings):
    window: Annotated[int, Field(ge=8)]
    stride: Annotated[int, Field(ge=0)]
    context: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _overlap(self) -> EncodeSettings:
        if self.stride * 2 >= self.window:
            raise ValueError(f"stride {self.stride} must be less than half of window {self.window}")
        return self
