"""JSON lines: one text per line, `{"text": "Ann slept", "entities": [{"start": 0, "end": 3, "label": "PER"}]}`.

What `fpplm predict` writes is of this format. Offsets are in characters (code points), the end excluded.

text      the text
entities  objects with start, end, label; where one has `text`, that must be the text there. [start, end, label], as in
          spaCy's tuples, is read too
document  a number that texts of one document share; may be left out

Scores of entities and keys of other names are skipped and noted. A file that is one list of such objects is read
too. `write` holds every text with its mentions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fpplm_core.data.formats import Holding, not_empty
from fpplm_core.data.formats._counting import counted
from fpplm_core.data.formats._json import (
    JsonObject,
    document_of,
    first_value,
    is_mention,
    member,
    mention_of,
    note_keys,
    piece,
    read_values,
    write_lines,
)
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.errors import DataError, shown

HOLDS: frozenset[Holding] = frozenset({"text", "documents", "overlaps"})
MARKS = {"start", "end", "label"}


def recognise(path: Path, head: str) -> str | None:
    row = first_value(head, path)
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        return None
    entities = row.get("entities")
    if entities == [] and "relations" in row:  # doccano's
        return None
    if isinstance(entities, list) and all(_is_entity(entity) for entity in entities):
        return 'objects with "text" and "entities"'
    return None


def _is_entity(value: Any) -> bool:
    return value.keys() >= MARKS if isinstance(value, dict) else is_mention(value)


@not_empty("text", do='put one {"text": "...", "entities": [...]} on each line')
def read(path: Path, options: Options) -> Iterator[AnnotatedText]:
    for line, row in read_values(path):
        where = f"{path}:{line}"
        text = member(row, "text", str, where)
        mentions = () if options.words_only else tuple(_mentions(row, text, where, options.notes))
        note_keys(row, ("text", "entities", "document"), options.notes, where)
        yield counted(AnnotatedText(text, mentions, str(path), line, document_of(row, where)), options)


def _mentions(row: JsonObject, text: str, where: str, notes: Notes) -> Iterator[Mention]:
    for entity in member(row, "entities", list, where):
        yield _mention(entity, text, where, notes)


def _mention(entity: Any, text: str, where: str, notes: Notes) -> Mention:
    if isinstance(entity, list):
        return mention_of(entity, "an entity", where)
    start, end = (member(entity, key, int, where) for key in ("start", "end"))
    label = member(entity, "label", str, where)
    if "text" in entity and entity["text"] != (found := piece(text, start, end, where)):
        what = f"an entity's text is not the text from {start} to {end}, which is {shown(found)}"
        raise DataError(what, where=where, got=shown(entity["text"]), do="correct its offsets or its text")
    if "score" in entity:
        notes.add("scores are not read", where)
    note_keys(entity, ("start", "end", "label", "text", "score"), notes, where)
    return Mention(start, end, label)


def write(records: Iterable[AnnotatedText], path: Path) -> None:
    write_lines(map(_row, records), path)


def _row(record: AnnotatedText) -> JsonObject:
    entities = [{"start": m.start, "end": m.end, "label": m.label} for m in record.mentions]
    row: JsonObject = {"text": record.text, "entities": entities}
    if record.document is not None:
        row["document"] = record.document
        document_of(row, record.place)
    return row
