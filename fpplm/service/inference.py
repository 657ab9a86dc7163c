"""The Open Inference Protocol, version 2: texts in and entities out, as tensors of BYTES.

Each element of the input `text` is a text; each element of the output `entities` is a JSON list.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

from fpplm.service.limits import Limits, Refused
from fpplm.service.model import Model
from fpplm.service.texts import Texts, rows_of
from fpplm_core.errors import shown

INPUT, OUTPUT = "text", "entities"


class InferRequest(NamedTuple):
    """An inference request; the caller chooses its `id`."""

    id: str | None
    texts: Texts


def metadata(model: Model) -> dict[str, Any]:
    ports = {name: [{"name": name, "datatype": "BYTES", "shape": [-1]}] for name in (INPUT, OUTPUT)}
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "fpplm_onnx",
        "inputs": ports[INPUT],
        "outputs": ports[OUTPUT],
    }


def parse(values: dict[str, Any], limits: Limits) -> InferRequest:
    """Reads the body of an inference request. Raises Refused; of `parameters`, only binary data matter."""
    inputs = values.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Refused(422, f"`inputs` must be one tensor, `{INPUT}`")
    tensor = inputs[0]
    if (tensor.get("name"), tensor.get("datatype")) != (INPUT, "BYTES"):
        raise Refused(422, f"inputs[0] must have the name `{INPUT}` and the datatype BYTES")
    if "binary_data_size" in _parameters(tensor):
        raise Refused(422, "binary data are not supported; put the texts into `data`")
    _check_outputs(values)
    data: Any = tensor.get("data")
    texts = rows_of(data, "inputs[0].data", str, limits)
    shape = tensor.get("shape")
    sizes = shape if isinstance(shape, list) and 1 <= len(shape) <= 2 else [None]
    if not all(type(size) is int and 0 <= size <= limits.texts for size in sizes) or math.prod(sizes) != len(texts):
        raise Refused(422, f"inputs[0].shape must be [{len(texts)}], the number of its texts, got {shown(shape)}")
    name = values.get("id")
    if name is not None and not isinstance(name, str):
        raise Refused(422, "`id` must be a string")
    return InferRequest(name, Texts(texts, None, [None] * len(texts)))


def _check_outputs(values: dict[str, Any]) -> None:
    """Raises Refused for an output that the model lacks, or that is wanted as binary data."""
    outputs = values.get("outputs") or []  # without any, all are returned
    if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
        raise Refused(422, "`outputs` must be a list of objects")
    for number, one in enumerate(outputs):
        if one.get("name") != OUTPUT:
            raise Refused(422, f"outputs[{number}].name must be `{OUTPUT}`, got {shown(one.get('name'))}")
    if _parameters(values).get("binary_data_output") or any(_parameters(one).get("binary_data") for one in outputs):
        raise Refused(422, "binary data are not supported; entities come as `data`")


def _parameters(values: dict[str, Any]) -> dict[str, Any]:
    found = values.get("parameters")
    return found if isinstance(found, dict) else {}


def response(model: Model, name: str | None, entities: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """The inference response to the request `name`."""
    data = [json.dumps(row, ensure_ascii=False) for row in entities]
    output = {"name": OUTPUT, "datatype": "BYTES", "shape": [len(data)], "data": data}
    answer = {"model_name": model.name, "model_version": model.version, "outputs": [output]}
    return answer if name is None else {**answer, "id": name}
