"""params.yaml as frozen objects: one model a section, one field a knob; what each means stands in params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fpplm_core import formats
from fpplm_core.errors import ParamsError
from fpplm_core.notes import Notes

Share = Annotated[float, Field(ge=0, le=1)]
Cut = Annotated[float, Field(gt=0, le=0.5)]
Severity = Literal["error", "warning", "off"]
Variant = Literal["fp32", "fp16", "int8", "mixed"]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SecondParams(Section):
    """Where a second task's labels stand; None = as for the first."""

    train: str | None = None
    format: str | None = None
    word_column: int | str | None = None
    tag_column: int | str | None = None


class DataParams(Section):
    path: str
    train: str
    dev: str | None
    test: str | None
    format: str
    word_column: int | str | None
    tag_column: int | str | None
    separator: formats.Separator
    scheme: Literal["auto", "IOB1", "IOB2", "IO", "BIOES", "BILOU", "BMES", "BMEWO", "BIOE", "TAGS"]
    repair: Literal["refuse", "conlleval", "discard"]
    words: Annotated[str, Field(pattern=r"^(rules|blanks|characters|[\w.]+:\w+)$")]
    misaligned: formats.Misaligned
    overlap: formats.Overlap
    dev_fraction: Cut
    test_fraction: Cut
    split_seed: Annotated[int, Field(ge=0)]
    incoming: Annotated[str, Field(min_length=1)] | None
    second: SecondParams | None

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ("auto", *formats.names()):
            raise ValueError(f"use auto, or one of {', '.join(formats.names())}")
        return name

    def options(self, notes: Notes) -> formats.Options:
        """How files are read, with a place for what is worth saying of them."""
        own = self.model_dump(include={field.name for field in fields(formats.Options)})
        return formats.Options(**own, notes=notes)

    @model_validator(mode="after")
    def _outside(self) -> DataParams:
        if self.incoming and Path(self.incoming).is_relative_to(self.path):
            raise ValueError(f"incoming {self.incoming} must not lie in path {self.path}, which makes the model")
        return self


class CheckParams(Section):
    malformed_tag: Severity
    illegal_transition: Severity
    entity_edge: Severity
    empty_word: Severity
    control_character: Severity
    invisible_word: Severity
    zero_width: Severity
    byte_order_mark: Severity
    mojibake: Severity
    not_normalised: Severity
    mixed_script: Severity
    unknown_pieces: Severity
    personal_data: Severity
    long_word: Severity
    duplicate: Severity
    near_duplicate: Severity
    conflicting_duplicate: Severity
    leakage: Severity
    near_leakage: Severity
    document_leakage: Severity
    conflicting_mention: Severity
    untagged_mention: Severity
    foreign_script: Severity
    merged_sentence: Severity
    long_sentence: Severity
    unknown_type: Severity
    few_examples: Severity
    few_test_examples: Severity
    few_sentences: Severity
    always_present: Severity
    label_drift: Severity
    empty_split: Severity
    leakage_words: Annotated[int, Field(ge=1)]
    near: Annotated[float, Field(gt=0, le=1)]
    max_word: Annotated[int, Field(ge=1)]
    conflict_share: Annotated[float, Field(gt=0.5, le=1)]
    min_examples: Annotated[int, Field(ge=0)]
    min_test_examples: Annotated[int, Field(ge=0)]
    min_sentences: Annotated[int, Field(ge=0)]
    drift: Annotated[float, Field(gt=0, le=1)]

    def severities(self) -> dict[str, str]:
        """error, warning or off, by name of the check."""
        return {name: value for name, value in self if isinstance(value, str)}


class ModelParams(Section):
    encoder: Annotated[str, Field(min_length=1)]
    revision: str | None
    attention: Literal["eager", "sdpa"]
    head: Literal["linear", "mlp"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    shapes: Literal["auto", "on", "off"]
    shape_dropout: Annotated[float, Field(ge=0, lt=1)]


class EncodeParams(Section):
    window: Annotated[int, Field(ge=8)]
    stride: Annotated[int, Field(ge=0)]
    context: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _overlap(self) -> EncodeParams:
        if self.stride * 2 >= self.window:
            raise ValueError(f"stride {self.stride} must be less than half of window {self.window}")
        return self


class TrainParams(Section):
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


class EvaluateParams(Section):
    bootstrap: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class GateParams(Section):
    min_f1: Share
    min_type_f1: Share
    type_f1: dict[str, Share]
    max_check_warnings: Annotated[int, Field(ge=0)]


class ExportParams(Section):
    variants: list[Variant]
    opset: Annotated[int, Field(ge=18, le=23)]
    refine_below: Share


class VerifyParams(Section):
    max_logit_delta: Annotated[float, Field(gt=0)]
    max_f1_loss: Share


class PromotionParams(Section):
    alpha: Cut
    margin: Share
    max_type_loss: Share
    min_speed: Annotated[float, Field(ge=0)]
    max_size: Annotated[float, Field(ge=0)]


class Params(Section):
    data: DataParams
    check: CheckParams
    model: ModelParams
    encode: EncodeParams
    train: TrainParams
    technique: dict[str, Any]  # read by techniques.build, which alone knows the folder's modules
    evaluate: EvaluateParams
    gate: GateParams
    export: ExportParams
    verify: VerifyParams
    promotion: PromotionParams


def load(path: Path | str = "params.yaml") -> Params:
    """The validated parameters. Raises ParamsError naming the file, the key, the value and what is allowed."""
    return parse(read_yaml(path), str(path))


def read_yaml(path: Path | str) -> Any:
    """The plain values of a YAML 1.2 file, as DVC reads and writes it: `off` is a word, not false.

    Raises ParamsError naming the file and the line.
    """
    try:
        return YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError("no such file", where=str(path), do="run in the project's folder") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"cannot be read ({error})", where=str(path)) from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ParamsError(f"not valid YAML ({problem})", where=f"{path}{line}") from None


def parse(values: Any, where: str) -> Params:
    """Parameters from plain values. Raises ParamsError as `load` does, for the first key that is wrong."""
    if not isinstance(values, Mapping):
        raise ParamsError("sections are wanted", where=where, got=type(values).__name__)
    try:
        settings = Params.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _fields(first["loc"][:-1])
            raise ParamsError("unknown key", where=f"{where}: {key}", do=f"known here: {', '.join(known)}") from None
        if first["type"] == "missing":
            raise ParamsError(
                "missing key", where=f"{where}: {key}", do="add it; params.yaml holds every knob"
            ) from None
        raise ParamsError(
            first["msg"][0].lower() + first["msg"][1:], where=f"{where}: {key}", got=repr(first["input"])
        ) from None
    pieces, window = settings.train.batch_pieces, settings.encode.window
    if pieces < window:
        raise ParamsError(
            "a step must have room for one window",
            where=f"{where}: train.batch_pieces",
            got=str(pieces),
            do=f"at least encode.window, {window}",
        )
    return settings


def _fields(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Params
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
