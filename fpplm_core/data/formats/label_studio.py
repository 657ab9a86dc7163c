"""Label Studio: the JSON and JSON-MIN exports of its projects with a Labels tag over a Text tag.

JSON      [{"data": {"text": "Ann slept"}, "annotations": [{"result": [{"type": "labels", "to_name": "text",
           "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}}]}]}]     older: "completions"
JSON-MIN  [{"text": "Ann slept", "label": [{"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}]}]

The text is what a region's `to_name` says, if `data` has that key; else `text`; else the only string. Older versions
count offsets in UTF-16 units, newer ones in characters (code points). The texts of a task's regions show which: UTF-16
is tried first, and used (and noted) if nothing decides. Label Studio may change white space in a region's text.

Of a task's annotations, the first that was not cancelled is read. Tasks without one, other annotations, predictions,
drafts, results of other types (choices, relation, …) and unknown keys are skipped and noted. Regions over hypertext,
paragraphs, images or several texts, and regions with no label or several, are errors. Lines of tasks are read too.
`write` gives JSON with offsets in UTF-16 units; it holds no mention outside its text, no words and no documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from fpplm_core.data.formats import Holding
from fpplm_core.data.formats._json import (
    JsonObject,
    first_value,
    member,
    note_keys,
    piece,
    read_values,
    shown,
    write_list,
)
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.errors import DataError

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


class _Region(NamedTuple):
    """A label from `start` to `end`, in whatever units; `text` is what Label Studio says stands there, or None."""

    start: int
    end: int
    label: str
    text: str | None


def recognise(path: Path, head: str) -> str | None:
    row = first_value(head, path)
    if not isinstance(row, dict):
        return None
    if isinstance(row.get("data"), dict) and ("annotations" in row or "completions" in row):
        return 'tasks with "data" and "annotations"'
    return 'items with "labels" or an "annotation_id"' if _is_min(row) else None


def _is_min(row: JsonObject) -> bool:
    return "annotation_id" in row or any(_has_labels(value) for value in row.values())


def _has_labels(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) and "labels" in item for item in value)


def read(path: Path, options: Options) -> Iterator[AnnotatedText]:
    empty, before = True, None
    for line, row in read_values(path):
        where = f"{path}:{line}"
        if isinstance(row, dict) and "data" not in row and _is_min(row):
            text, regions = _of_min(row, where, options.notes)
            task = (row["id"], text) if "id" in row else None
            if task is not None and task == before:  # an item an annotation; those of a task stand together
                options.notes.add("further annotations of a task are not read", where)
                continue
            before = task
        else:
            found = _of_task(row, where, options.notes)
            if found is None:
                continue
            text, regions = found
        empty = False
        yield AnnotatedText(text, _mentions(text, regions, where, options.notes), str(path), line)
    if empty:
        raise DataError("no text in the file", where=str(path), do="export tasks that are annotated, as JSON")


def _of_task(row: Any, where: str, notes: Notes) -> tuple[str, list[_Region]] | None:
    """The text and regions of a task; None if nobody has annotated it."""
    data = member(row, "data", dict, where)
    key = "completions" if "annotations" not in row and "completions" in row else "annotations"
    annotations = member(row, key, list, where)
    results = [
        member(annotation, "result", list, where)
        for annotation in annotations
        if not (isinstance(annotation, dict) and (annotation.get("was_cancelled") or annotation.get("skipped")))
    ]
    for kind in ("predictions", "drafts"):
        notes.add(f"{kind} are not read", where, len(row[kind]) if isinstance(row.get(kind), list) else 0)
    note_keys(_filled(row), ("data", key, "predictions", "drafts", *BOOKKEEPING), notes, where)
    notes.add("cancelled annotations are not read", where, len(annotations) - len(results))
    if not results:
        notes.add("tasks without an annotation are not read", where)
        return None
    notes.add("further annotations of a task are not read", where, len(results) - 1)
    regions, names = [], set()
    for result in results[0]:
        kind, value = member(result, "type", str, where), result.get("value")
        if kind == "labels":
            regions.append(_region(member(result, "value", dict, where), where))
            names.add(result["to_name"] if isinstance(result.get("to_name"), str) else "")
        elif kind.endswith("labels") or (isinstance(value, dict) and "labels" in value):
            raise _other(kind, where)
        else:
            notes.add(f"results of type {shown(kind)} are not read", where)
    if len(names) > 1:
        do = "export a project with one Text tag"
        raise DataError("regions over several texts", where=where, got=shown(sorted(names)), do=do)
    texts = {name: text for name, text in data.items() if isinstance(text, str)}
    name = _text_key(texts, names.pop() if names else "", where)
    note_keys(_filled(data), (name,), notes, where)
    return texts[name], regions


def _of_min(row: JsonObject, where: str, notes: Notes) -> tuple[str, list[_Region]]:
    """The text and regions of an item of JSON-MIN, whose other keys are those of `data` and of the labelling."""
    regions, read_keys = [], list(BOOKKEEPING)
    for key, value in row.items():
        items = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
        if any(name != "labels" and name.endswith("labels") for item in items for name in item):
            raise _other(shown(items), where)
        if _has_labels(value) or any("start" in item and item.keys() <= {"start", "end", "text"} for item in items):
            regions += [_region(item, where) for item in value]
            read_keys.append(key)
    texts = {key: text for key, text in row.items() if isinstance(text, str) and key not in BOOKKEEPING}
    key = _text_key(texts, "", where)
    note_keys(_filled(row), (key, *read_keys), notes, where)
    return texts[key], regions


def _filled(row: JsonObject) -> JsonObject:
    return {key: value for key, value in row.items() if value not in (None, [], {})}


def _text_key(texts: dict[str, str], name: str, where: str) -> str:
    """Which of the strings of a task is its text: `name`, or text, or the only one."""
    for key in (name, "text"):
        if key in texts:
            return key
    if len(texts) != 1:
        got = f"texts named {shown(list(texts))}"
        raise DataError("cannot tell which text was annotated", where=where, got=got, do="name it text")
    return next(iter(texts))


def _region(value: Any, where: str) -> _Region:
    if isinstance(value, dict) and "startOffset" in value:
        raise _other("hypertext", where)
    start, end = (member(value, key, int, where) for key in ("start", "end"))
    labels = member(value, "labels", list, where)
    if len(labels) != 1 or not isinstance(labels[0], str):
        raise DataError("a region must have one label", where=where, got=shown(labels), do="correct the annotation")
    text = None if value.get("text") is None else member(value, "text", str, where)
    return _Region(start, end, labels[0], text)


def _other(kind: str, where: str) -> DataError:
    do = "annotate a Text tag with a Labels tag"
    return DataError("regions that are not over plain text", where=where, got=kind[:60], do=do)


def _units(text: str) -> list[int]:
    """Where each character begins, and the text ends, in UTF-16 units."""
    return list(accumulate((1 + (char > "\uffff") for char in text), initial=0))


def _mentions(text: str, regions: list[_Region], where: str, notes: Notes) -> tuple[Mention, ...]:
    """The regions in characters of the text, by the way of counting that the texts of all of them agree with."""
    places = {unit: place for place, unit in enumerate(_units(text))}
    utf16 = [(places.get(region.start, -1), places.get(region.end, -1)) for region in regions]
    points = [(region.start, region.end) for region in regions]
    exact = True
    fits = [_fits(text, regions, ranges, exact) for ranges in (utf16, points)]
    if not any(fits):
        exact = False
        fits = [_fits(text, regions, ranges, exact) for ranges in (utf16, points)]
        notes.add("texts of regions differ from the text in white space", where, any(fits))
    if not any(fits):
        region = next(r for n, r in enumerate(regions) if not _fits(text, [r], utf16[n : n + 1], exact))
        what = "a region's offsets do not match its text, in UTF-16 units or in code points"
        got = f"{shown(region.start)} to {shown(region.end)} for {shown(region.text)}"
        raise DataError(what, where=where, got=got, do="correct its offsets; all regions of a task are counted alike")
    if utf16 != points and fits[1]:
        notes.add(f"offsets counted in {'UTF-16 units, as nothing decides' if fits[0] else 'code points'}", where)
    ranges = utf16 if fits[0] else points
    return tuple(Mention(*span, region.label) for span, region in zip(ranges, regions, strict=True))


def _fits(text: str, regions: list[_Region], ranges: list[tuple[int, int]], exact: bool) -> bool:
    return all(
        0 <= start < end <= len(text) and (region.text is None or _same(region.text, text[start:end], exact))
        for region, (start, end) in zip(regions, ranges, strict=True)
    )


def _same(said: str, found: str, exact: bool) -> bool:
    r"""Label Studio writes line breaks as \n, of two characters, and leaves out white space that it does not show."""
    if exact:
        return said == found
    return said.replace("\\n", "\n").split() == found.replace("\\n", "\n").split()


def write(records: Iterable[AnnotatedText], path: Path) -> None:
    write_list(map(_task, records), path)


def _task(record: AnnotatedText) -> JsonObject:
    units, result = _units(record.text), []
    for number, (start, end, label, place) in enumerate(record.mentions):
        text = piece(record.text, start, end, place or record.place)
        value = {"start": units[start], "end": units[end], "text": text, "labels": [label]}
        region = {"id": str(number), "from_name": "label", "to_name": "text", "type": "labels", "value": value}
        result.append(region)
    return {"data": {"text": record.text}, "annotations": [{"result": result}]}
