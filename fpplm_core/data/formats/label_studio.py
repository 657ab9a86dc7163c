"""Label Studio: the JSON and JSON-MIN exports of its projects with a Labels tag over a Text tag.

JSON      [{"data": {"text": "Ann slept"}, "annotations": [{"result": [{"type": "labels", "to_name": "text",
           "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}}]}]}]     older: "completions"
JSON-MIN  [{"text": "Ann slept", "label": [{"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}]}]

The text is what a region's `to_name` says, if `data` has that key; else the only string; else the only one that has the
texts of the regions, as an earlier task may tell; else `text`, unless regions without texts stand at words in others
only. Older versions count offsets in UTF-16 units, newer ones in characters (code points). The texts of a task's
regions show which, or else earlier tasks, or the borders of words: UTF-16 is used (and noted) if nothing decides.
Browsers count CRLF as one character: so do the offsets where the regions' texts, or else the borders of words, say so
(noted); else they are refused. Label Studio may change white space in a region's text.

Of a task's annotations that were not cancelled, the first ground truth is read, or else the first. Tasks without one,
other annotations, predictions, drafts, results of other types (choices, relation, …) and unknown keys are skipped and
noted. Of several Labels tags, `tag_column` names the one to read (its name, or the key in JSON-MIN). Regions over
hypertext, paragraphs, images or several texts, and regions with no label or several, are errors. Lines of tasks are
read too.
`write` gives JSON with offsets in UTF-16 units; it holds no mention outside its text, no words and no documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fpplm_core.data.formats import Holding, not_empty
from fpplm_core.data.formats._counting import utf16_places
from fpplm_core.data.formats._json import (
    JsonObject,
    first_value,
    member,
    note_keys,
    piece,
    read_values,
    write_list,
)
from fpplm_core.data.formats._regions import Chosen, Region, Seen, may_be_of, mentions_of, other_region, region_of
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText
from fpplm_core.errors import DataError, shown

HOLDS: frozenset[Holding] = frozenset({"text", "overlaps"})
BOOKKEEPING = (
    "id",
    "inner_id",
    "project",
    "created_at",
    "updated_at",
    "updated_by",
    "completed_by",
    "file_upload",
    "annotator",
    "annotation_id",
    "lead_time",
    "agreement",
    "total_annotations",
    "total_predictions",
    "cancelled_annotations",
    "comment_count",
    "unresolved_comment_count",
    "comment_authors",
    "last_comment_updated_at",
    "is_labeled",
    "overlap",
)


def recognise(path: Path, head: str) -> str | None:
    row = first_value(head, path)
    if not isinstance(row, dict):
        return None
    if isinstance(row.get("data"), dict) and not row.keys().isdisjoint(("annotations", "completions", "predictions")):
        return 'tasks with "data" and "annotations"'
    return 'items with "labels" or an "annotation_id"' if _is_min(row) else None


def _is_min(row: JsonObject) -> bool:
    return "annotation_id" in row or any(_has_labels(value) for value in row.values())


def _has_labels(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) and "labels" in item for item in value)


@not_empty("text", do="export tasks that are annotated, as JSON")
def read(path: Path, options: Options) -> Iterator[AnnotatedText]:
    before = None
    chosen, seen = Chosen(options.tag_column, options.notes), Seen()
    for line, row in read_values(path):
        where = f"{path}:{line}"
        is_item = isinstance(row, dict) and "data" not in row and (options.words_only or _is_min(row))
        if options.words_only:
            text, regions = _text_of(row, where, seen), list[Region]()
        elif is_item:
            text, regions = _of_min(row, where, options.notes, seen)
            regions = chosen.of(regions, where)
        elif found := _of_task(row, where, chosen, seen):
            text, regions = found
        else:
            continue
        task = (row["id"], text) if is_item and "id" in row else None
        if task is not None and task == before:  # an item an annotation; those of a task stand together
            options.notes.add("further annotations of a task are not read", where)
            continue
        before = task
        yield AnnotatedText(text, mentions_of(text, regions, where, options.notes, seen), str(path), line)
    chosen.check(str(path))


def _text_of(row: Any, where: str, seen: Seen) -> str:
    """The text of a task or item, whatever is annotated in it."""
    data = row if isinstance(row, dict) and "data" not in row else member(row, "data", dict, where)
    texts = {key: text for key, text in data.items() if isinstance(text, str) and key not in BOOKKEEPING}
    done = [annotation for key in ("annotations", "completions") for annotation in _objects(row.get(key))]
    names = [result.get("to_name") for annotation in done for result in _objects(annotation.get("result"))]
    return texts[next((key for key in texts if key in names), None) or _text_key(texts, [], where, seen)]


def _objects(value: Any) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _of_task(row: Any, where: str, chosen: Chosen, seen: Seen) -> tuple[str, list[Region]] | None:
    """The text and regions of a task; None if nobody has annotated it."""
    data, notes = member(row, "data", dict, where), chosen.notes
    key = "completions" if "annotations" not in row and "completions" in row else "annotations"
    is_predicted = key not in row and isinstance(row.get("predictions"), list)
    annotations = [] if is_predicted else member(row, key, list, where)
    done = [
        (member(annotation, "result", list, where), annotation.get("ground_truth") is True)
        for annotation in annotations
        if not (isinstance(annotation, dict) and (annotation.get("was_cancelled") or annotation.get("skipped")))
    ]
    for kind in ("predictions", "drafts"):
        notes.add(f"{kind} are not read", where, len(row[kind]) if isinstance(row.get(kind), list) else 0)
    note_keys(_filled(row), ("data", key, "predictions", "drafts", *BOOKKEEPING), notes, where)
    notes.add("cancelled annotations are not read", where, len(annotations) - len(done))
    if not done:
        notes.add("tasks without an annotation are not read", where)
        return None
    notes.add("further annotations of a task are not read", where, len(done) - 1)
    result = next((result for result, is_truth in done if is_truth), done[0][0])
    regions = chosen.of(_regions(result, where, notes), where)
    names = {region.target for region in regions}
    if len(names) > 1:
        do = "export a project with one Text tag"
        raise DataError("regions over several texts", where=where, got=shown(sorted(names)), do=do)
    texts = {name: text for name, text in data.items() if isinstance(text, str)}
    name = _text_key(texts, regions, where, seen)
    note_keys(_filled(data), (name,), notes, where)
    return texts[name], regions


def _regions(results: list[Any], where: str, notes: Notes) -> list[Region]:
    regions = []
    for result in results:
        kind, value = member(result, "type", str, where), result.get("value")
        if kind == "labels":
            control, target = (result.get(key) for key in ("from_name", "to_name"))
            names = (name if isinstance(name, str) else "" for name in (control, target))
            regions.append(region_of(member(result, "value", dict, where), where, *names))
        elif kind.endswith("labels") or (isinstance(value, dict) and "labels" in value):
            raise other_region(kind, where)
        else:
            notes.add(f"results of type {shown(kind)} are not read", where)
    return regions


def _of_min(row: JsonObject, where: str, notes: Notes, seen: Seen) -> tuple[str, list[Region]]:
    """The text and regions of an item of JSON-MIN, whose other keys are those of `data` and of the labelling."""
    regions, read_keys = [], list(BOOKKEEPING)
    for key, value in row.items():
        items = _objects(value)
        if any(name != "labels" and name.endswith("labels") for item in items for name in item):
            raise other_region(shown(items), where)
        if _has_labels(value) or any("start" in item and item.keys() <= {"start", "end", "text"} for item in items):
            regions += [region_of(item, where, key) for item in value]
            read_keys.append(key)
    texts = {key: text for key, text in row.items() if isinstance(text, str) and key not in BOOKKEEPING}
    key = _text_key(texts, regions, where, seen)
    note_keys(_filled(row), (key, *read_keys), notes, where)
    return texts[key], regions


def _filled(row: JsonObject) -> JsonObject:
    return {key: value for key, value in row.items() if value not in (None, [], {})}


def _text_key(texts: dict[str, str], regions: list[Region], where: str, seen: Seen) -> str:
    """Which of the strings of a task is its text.

    That which the regions name; or the only one; or the one that has the regions' texts, here or in an earlier task; or
    `text`. Raises DataError if that does not fit: if regions without texts stand at words in others only.
    """
    name = regions[0].target if regions else ""
    if name in texts or len(texts) == 1:
        return name if name in texts else next(iter(texts))
    has_texts = any(region.text is not None for region in regions)
    fitting = (
        [key for key, text in texts.items() if may_be_of(text, regions, at_words=not has_texts)] if regions else []
    )
    if has_texts and len(fitting) == 1:
        seen.key = fitting[0]
    for key in (seen.key, "text"):
        if key in texts and (key in fitting or not fitting):
            return key
    got, do = f"texts named {shown(list(texts))}", "name it text, or as the regions' to_name"
    raise DataError("cannot tell which text was annotated", where=where, got=got, do=do)


def write(records: Iterable[AnnotatedText], path: Path) -> None:
    write_list(map(_task, records), path)


def _task(record: AnnotatedText) -> JsonObject:
    units, result = utf16_places(record.text), []
    for number, (start, end, label, place) in enumerate(record.mentions):
        text = piece(record.text, start, end, place or record.place)
        value = {"start": units[start], "end": units[end], "text": text, "labels": [label]}
        region = {"id": str(number), "from_name": "label", "to_name": "text", "type": "labels", "value": value}
        result.append(region)
    return {"data": {"text": record.text}, "annotations": [{"result": result}]}
