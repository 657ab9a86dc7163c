"""The OpenAPI document of the service. A test compares it with the routes and their answers."""

from __future__ import annotations

from typing import Any

from fpplm.service.inference import INPUT, OUTPUT
from fpplm.service.limits import Limits
from fpplm_core import __version__

Json = dict[str, Any]
TEXT: Json = {"type": "string"}
WHOLE: Json = {"type": "integer"}
ERRORS = {
    "404": "No such model or version",
    "408": "The body took too long",
    "413": "The body, a text or the number of texts is too large",
    "415": "The body is not application/json, or compressed",
    "422": "The body is not as described",
    "500": "The bundle cannot tag these texts",
    "503": "The queue is full, or the deadline passed; try again after the seconds in Retry-After",
}


def document(limits: Limits) -> Json:
    model, version = _parameter("name"), _parameter("version")
    paths: Json = {
        "/predict": {"post": _post("Find entities in texts, or in sentences of words", "Request", "Response", False)},
        "/v2": {"get": _get("Name and version of the server", "Server")},
        "/v2/health/live": {"get": _get("Whether the process works", "Live", "503")},
        "/v2/health/ready": {"get": _get("Whether the model answers", "Ready", "503")},
    }
    for place, parameters in (
        ("/v2/models/{name}", [model]),
        ("/v2/models/{name}/versions/{version}", [model, version]),
    ):
        infer = _post("Find entities, by the Open Inference Protocol", "InferRequest", "InferResponse", True)
        paths |= {
            place: {"get": _get("Inputs and outputs of the model", "Metadata", "404"), "parameters": parameters},
            f"{place}/ready": {
                "get": _get("Whether the model answers", "ModelReady", "404", "503"),
                "parameters": parameters,
            },
            f"{place}/infer": {"post": infer, "parameters": parameters},
        }
    for path, what, kind in (
        ("/", "A page to try the model", "text/html"),
        ("/docs", "This document as a page", "text/html"),
        ("/openapi.json", "This document", "application/json"),
        ("/metrics", "Counts and times in Prometheus' format", "text/plain"),
    ):
        paths[path] = {"get": {"summary": what, "responses": {"200": {"description": "OK", "content": {kind: {}}}}}}
    info = {
        "title": "fpplm serve",
        "version": __version__,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": _schemas(limits)}}


def _parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": TEXT}


def _content(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _answers(schema: str, errors: tuple[str, ...]) -> Json:
    """The response 200 with its schema, and errors."""
    return {
        "200": {"description": "OK", "content": _content(schema)},
        **{code: {"description": ERRORS[code], "content": _content("Error")} for code in errors},
    }


def _get(summary: str, schema: str, *errors: str) -> Json:
    answers = _answers(schema, tuple(code for code in errors if code != "503"))
    if "503" in errors:
        answers["503"] = {"description": "It does not", "content": _content(schema)}
    return {"summary": summary, "responses": answers}


def _post(summary: str, takes: str, gives: str, names_model: bool) -> Json:
    answers = _answers(gives, tuple(code for code in ERRORS if names_model or code != "404"))
    answers["503"]["headers"] = {"Retry-After": {"schema": WHOLE, "description": "Seconds"}}
    return {"summary": summary, "requestBody": {"required": True, "content": _content(takes)}, "responses": answers}


def _object(required: str, **properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": required.split()}


def _list(items: Json, **rules: Any) -> Json:
    return {"type": "array", "items": items, **rules}


def _schemas(limits: Limits) -> Json:
    yes = {"type": "boolean"}
    texts = _list({"type": "string", "maxLength": limits.characters}, maxItems=limits.texts)
    words = _list(_list({"type": "string", "minLength": 1}), maxItems=limits.texts)
    numbers = _list({"type": ["integer", "null"]})
    numbers["description"] = "A document number for each text: a model trained with context sees its neighbours"
    request = _object("", texts=texts, words=words, documents=numbers)
    del request["required"]
    request |= {"oneOf": [{"required": ["texts"]}, {"required": ["words"]}], "additionalProperties": False}
    offset = {**WHOLE, "description": "In characters (Unicode code points) of the text; in words, if words were given"}
    score = {"type": "number", "minimum": 0, "maximum": 1, "description": "Mean probability of the labels of the words"}
    entity = _object("text label start end score", text=TEXT, label=TEXT, start=offset, end=offset, score=score)
    entities = _list(_list({"$ref": "#/components/schemas/Entity"}))
    shape = _list(WHOLE, minItems=1, maxItems=2)
    fields: Json = {"datatype": {"const": "BYTES"}, "shape": shape}
    asked = _object("name datatype shape data", name={"const": INPUT}, **fields, data=texts)
    lists = {**_list(TEXT), "description": "For each text, a JSON list of Entity"}
    found = _object("name datatype shape data", name={"const": OUTPUT}, **fields, data=lists)
    port = _object("name datatype shape", name=TEXT, datatype=TEXT, shape=_list(WHOLE))
    return {
        "Request": request,
        "Entity": entity,
        "Response": _object("model version entities", model=TEXT, version=TEXT, entities=entities),
        "InferRequest": _object("inputs", id=TEXT, inputs=_list(asked, minItems=1, maxItems=1)),
        "InferResponse": _object(
            "model_name model_version outputs", model_name=TEXT, model_version=TEXT, id=TEXT, outputs=_list(found)
        ),
        "Metadata": _object(
            "name versions platform inputs outputs",
            name=TEXT,
            versions=_list(TEXT),
            platform=TEXT,
            inputs=_list(port),
            outputs=_list(port),
        ),
        "Server": _object("name version extensions", name=TEXT, version=TEXT, extensions=_list(TEXT)),
        "Live": _object("live", live=yes),
        "Ready": _object("ready", ready=yes),
        "ModelReady": _object("name ready", name=TEXT, ready=yes),
        "Error": _object("error", error=TEXT),
    }
