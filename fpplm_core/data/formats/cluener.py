"""CLUENER: JSON lines, `{"text": "彭小军认为", "label": {"name": {"彭小军": [[0, 2]]}}}`.

`label` maps each type to an object that maps each surface (the text of a mention) to its places: [first, last] in
characters (code points), the last included. The text at a place must be the surface. `"label": {}` is a text without
mentions. A text without `label`, as in CLUENER's test file, is not annotated, which is an error. Other keys are skipped
and noted. A file that is one list of such objects is read too.

`write` cannot hold a mention that is not a range of its text, and holds neither words nor documents. Mentions are
written in the order of their types and surfaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from fpplm_core.data.formats import Holding, not_empty
from fpplm_core.data.formats._json import (
    JsonObject,
    first_value,
    member,
    note_keys,
    piece,
    read_values,
    write_lines,
)
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.errors import DataError, shown

HOLDS: frozenset[Holding] = frozenset({"text", "overlaps"})


def recognise(path: Path, head: str) -> str | None:
    row = first_value(head, path)
    if isinstance(row, dict) and isinstance(row.get("text"), str) and isinstance(row.get("label"), dict):
        return 'objects with "text" and an object "label"'
    return None


@not_empty("text", do='put one {"text": "...", "label": {...}} on each line')
def read(path: Path, options: Options) -> Iterator[AnnotatedText]:
    for line, row in read_values(path):
        where = f"{path}:{line}"
        text = member(row, "text", str, where)
        mentions = () if options.words_only else tuple(_mentions(row, text, where))
        note_keys(row, ("text", "label"), options.notes, where)
        yield AnnotatedText(text, mentions, str(path), line)


def _mentions(row: JsonObject, text: str, where: str) -> Iterator[Mention]:
    if "label" not in row:
        do = "give an annotated file (CLUENER's test file is not), or an empty object for a text without mentions"
        raise DataError("a text without 'label' is not annotated", where=where, got=shown(text), do=do)
    labels = member(row, "label", dict, where)
    for label in labels:
        surfaces = member(labels, label, dict, where)
        for surface in surfaces:
            for place in member(surfaces, surface, list, where):
                if not isinstance(place, list) or [type(part) for part in place] != [int, int]:
                    raise DataError("a place must be [first, last]", where=where, got=shown(place), do="correct it")
                first, last = place
                found = piece(text, first, last + 1, where)
                if found != surface:
                    what = f"{shown(surface)} is not the text from {first} to {last}"
                    raise DataError(what, where=where, got=shown(found), do="correct the place or the surface")
                yield Mention(first, last + 1, label)


def write(records: Iterable[AnnotatedText], path: Path) -> None:
    write_lines(map(_row, records), path)


def _row(record: AnnotatedText) -> JsonObject:
    labels: dict[str, dict[str, list[list[int]]]] = {}
    for start, end, label, place in record.mentions:
        surface = piece(record.text, start, end, place or record.place)
        labels.setdefault(label, {}).setdefault(surface, []).append([start, end - 1])
    return {"text": record.text, "label": labels}
