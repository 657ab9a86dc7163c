"""doccano: JSON lines as its sequence labelling projects export them, in one of two styles.

{"text": "Ann slept", "label": [[0, 3, "PER"]]}         also `labels`; older versions name the text `data`
{"text": "Ann slept", "entities": [{"label": "PER", "start_offset": 0, "end_offset": 3}], "relations": []}

Offsets are in characters (code points), the end excluded. An empty list, or null, is a text without mentions. Ids,
relations, comments and keys of other names are skipped and noted. Exports of text classification are refused. A
file that is one list of such objects is read too. `write` gives the first style and holds every text with its mentions,
but neither words nor documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fpplm_core.data.formats import Holding, not_empty
from fpplm_core.data.formats._counting import counted
from fpplm_core.data.formats._json import first_value, member, mention_of, note_keys, read_values, write_lines
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.errors import DataError, shown

HOLDS: frozenset[Holding] = frozenset({"text", "overlaps"})
LISTS = ("label", "labels", "entities")
COUNTED = ("relations", "comments", "Comments")


def recognise(path: Path, head: str) -> str | None:
    row = first_value(head, path)
    if not isinstance(row, dict) or not any(isinstance(row.get(key), str) for key in ("text", "data")):
        return None
    if any(isinstance(row.get(key), list) for key in ("tokens", "words")):  # the labels are those of words
        return None
    entities = row.get("entities")
    if isinstance(entities, list) and (
        all(isinstance(e, dict) and "start_offset" in e for e in entities) if entities else "relations" in row
    ):
        return 'objects with "text" and "entities" that have "start_offset"'
    for key in ("label", "labels"):
        labels = row.get(key, "")
        if labels is None or (isinstance(labels, list) and not any(isinstance(item, dict) for item in labels)):
            return None if "annotation_id" in row else f'objects with a text and a list "{key}"'
    return None


@not_empty("text", do="export it again, as JSONL")
def read(path: Path, options: Options) -> Iterator[AnnotatedText]:
    for line, row in read_values(path):
        text, mentions = _parts(row, f"{path}:{line}", options)
        yield counted(AnnotatedText(text, mentions, str(path), line), options)


def _parts(row: Any, where: str, options: Options) -> tuple[str, tuple[Mention, ...]]:
    key = "data" if isinstance(row, dict) and "text" not in row else "text"
    text = member(row, key, str, where)
    if options.words_only:
        return text, ()
    given = [name for name in LISTS if name in row]
    if len(given) != 1:
        do = f"give one of {', '.join(LISTS)}"
        raise DataError("expected one list of labels", where=where, got=f"the keys {shown(list(row))}", do=do)
    items = row[given[0]]
    if isinstance(items, str) or (isinstance(items, list) and any(isinstance(item, str) for item in items)):
        do = "give a project of sequence labelling: labels as [start, end, label]"
        raise DataError("labels of whole texts (text classification)", where=where, got=shown(items), do=do)
    if items is not None:
        items = member(row, given[0], list, where)
    is_object = given == ["entities"]
    mentions = tuple(
        _of_object(item, where) if is_object else mention_of(item, "a label", where) for item in items or ()
    )
    if "id" in row:
        options.notes.add("ids are not read", where)
    for name in COUNTED:
        if value := row.get(name):
            options.notes.add(f"{name.lower()} are not read", where, len(value) if isinstance(value, list) else 1)
    note_keys(row, (key, "id", *given, *COUNTED), options.notes, where)
    return text, mentions


def _of_object(item: Any, where: str) -> Mention:
    start, end = (member(item, key, int, where) for key in ("start_offset", "end_offset"))
    return Mention(start, end, member(item, "label", str, where))


def write(records: Iterable[AnnotatedText], path: Path) -> None:
    rows = ({"text": record.text, "label": [mention[:3] for mention in record.mentions]} for record in records)
    write_lines(rows, path)
