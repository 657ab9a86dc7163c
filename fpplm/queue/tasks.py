"""Writes texts with their pre-annotations as tasks of an annotation tool.

What an annotator accepts of them, the reader of the tool's format (fpplm_core/data/formats) reads back.

label-studio  JSON: `predictions`, with `score` for the task and for each region, and the bundle as `model_version`
prodigy       JSON lines: `tokens`, `spans` with `score`, and `meta`, which Prodigy shows below the text
doccano       JSON lines: `label`, and `meta`
jsonl         JSON lines as `fpplm predict` writes them, and the `score` of the text
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from fpplm.prediction.records import rows_of_entities
from fpplm.queue.candidates import Candidate
from fpplm_core.data.formats._counting import utf16_places
from fpplm_core.data.formats._json import write_lines, write_list
from fpplm_core.serving.entities import entities_of

Tool = Literal["label-studio", "prodigy", "doccano", "jsonl"]


def write_tasks(chosen: Sequence[Candidate], path: Path, tool: Tool, version: str) -> None:
    """Writes the tasks in this order; `version` names the bundle."""
    if tool == "label-studio":
        write_list((_label_studio(candidate, number, version) for number, candidate in enumerate(chosen)), path)
    elif tool == "prodigy":
        write_lines((_prodigy(candidate, version) for candidate in chosen), path)
    elif tool == "doccano":
        write_lines((_doccano(candidate, version) for candidate in chosen), path)
    else:
        write_lines(map(_jsonl, chosen), path)


def _label_studio(candidate: Candidate, number: int, version: str) -> dict[str, Any]:
    """A task; the ids of regions differ in the whole file, and offsets count UTF-16 units, as browsers do."""
    units = utf16_places(candidate.text.text)
    regions = [
        {
            "id": f"{number}-{place}",
            "from_name": "label",
            "to_name": "text",
            "type": "labels",
            "score": round(entity.score, 4),
            "value": {
                "start": units[entity.start],
                "end": units[entity.end],
                "text": entity.text,
                "labels": [entity.label],
            },
        }
        for place, entity in enumerate(entities_of(candidate.text, candidate.spans))
    ]
    prediction = {"model_version": version, "score": round(candidate.score, 4), "result": regions}
    return {"data": {"text": candidate.text.text}, "predictions": [prediction]}


def _prodigy(candidate: Candidate, version: str) -> dict[str, Any]:
    text, words = candidate.text.text, candidate.text.words
    tokens = [
        {"text": word, "start": start, "end": end, "id": number, "ws": text[end : end + 1] == " "}
        for number, (word, start, end) in enumerate(words)
    ]
    spans = [
        {
            "start": words[span.start][1],
            "end": words[span.end - 1][2],
            "token_start": span.start,
            "token_end": span.end - 1,
            "label": span.type,
            "score": round(score, 4),
        }
        for span, score in candidate.spans
    ]
    return {"text": text, "tokens": tokens, "spans": spans, "meta": _meta(candidate, version)}


def _doccano(candidate: Candidate, version: str) -> dict[str, Any]:
    labels = [[entity.start, entity.end, entity.label] for entity in entities_of(candidate.text, candidate.spans)]
    return {"text": candidate.text.text, "label": labels, "meta": _meta(candidate, version)}


def _jsonl(candidate: Candidate) -> dict[str, Any]:
    entities = rows_of_entities(candidate.text, candidate.spans)
    return {"text": candidate.text.text, "entities": entities, "score": round(candidate.score, 4)}


def _meta(candidate: Candidate, version: str) -> dict[str, Any]:
    return {"score": round(candidate.score, 4), "model": version}
