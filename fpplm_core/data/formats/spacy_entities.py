"""spaCy's simple training list, as older tutorials and tools give it: `[["Ann slept", {"entities": [[0, 3, "PER"]]}]]`.

Offsets are in characters (code points), the end excluded. An empty list is a text without mentions, a missing one an
error. Keys beside "entities", such as cats and links, are skipped and noted. `write` holds every text with its
mentions, but neither words nor documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fpplm_core.data.formats import Holding, not_empty
from fpplm_core.data.formats._counting import counted
from fpplm_core.data.formats._json import first_value, member, mention_of, note_keys, read_values, write_list
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.errors import DataError, shown

HOLDS: frozenset[Holding] = frozenset({"text", "overlaps"})


def recognise(path: Path, head: str) -> str | None:
    match first_value(head, path):
        case [str(), {"entities": list()}]:
            return 'a list of [text, {"entities": […]}]'
    return None


@not_empty("text", do='give a list of [text, {"entities": […]}]')
def read(path: Path, options: Options) -> Iterator[AnnotatedText]:
    for line, item in read_values(path):
        where = f"{path}:{line}"
        if not (isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)):
            do = 'give a list of [text, {"entities": [[start, end, label]]}]'
            raise DataError("an item must be a text and an object", where=where, got=shown(item), do=do)
        text, annotation = item
        mentions = () if options.words_only else tuple(_mentions(annotation, where, options.notes))
        yield counted(AnnotatedText(text, mentions, str(path), line), options)


def _mentions(annotation: Any, where: str, notes: Notes) -> Iterator[Mention]:
    for entity in member(annotation, "entities", list, where):
        yield mention_of(entity, "an entity", where)
    note_keys(annotation, ("entities",), notes, where)


def write(records: Iterable[AnnotatedText], path: Path) -> None:
    write_list(([record.text, {"entities": [mention[:3] for mention in record.mentions]}] for record in records), path)
