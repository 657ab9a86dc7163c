"""params.yaml as frozen objects: one model a section, one field a knob; what each means stands in params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from fpplm_core.data.settings import DataParams, EncodeParams
from fpplm_core.errors import ParamsError
from fpplm_core.evaluation.settings import EvaluateParams, GateParams, PromotionParams
from fpplm_core.export.settings import ExportParams, VerifyParams
from fpplm_core.model.settings import ModelParams
from fpplm_core.quality.settings import CheckParams
from fpplm_core.settings import Section, read_yaml
from fpplm_core.training.settings import TrainParams

RENAMED: dict[str, str | None] = {}  # keys of earlier releases: the new key, or None where it is a constant now


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
