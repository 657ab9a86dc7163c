"""Prodigy: JSON lines as `prodigy db-out` exports them for ner.manual, spans.manual and their like.

{"text": "Ann slept", "tokens": [{"text": "Ann", "start": 0, "end": 3, "id": 0, "ws": true}, …],
 "spans": [{"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"}], "answer": "accept"}

Offsets are in characters (code points), the end excluded; token_end is included. A token's text must be the text there,
and a span's token numbers, where it has them, must say the same as its offsets. Records, and spans, that were answered
with reject or ignore are skipped and noted; so are relations and other keys, except Prodigy's own, which
begin with `_`. Accepted records with tokens and without spans are texts without mentions. A record of a binary recipe
(`_is_binary`) is noted, as it says nothing about the rest of its text. A file that is one list of such objects is read
too. `write` cannot hold words that are no place in their text; it holds no documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fpplm_core.data.formats import Holding, not_empty
from fpplm_core.data.formats._counting import counted
from fpplm_core.data.formats._json import (
    JsonObject,
    first_value,
    member,
    note_keys,
    piece,
    read_values,
    write_lines,
)
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.errors import DataError, shown

HOLDS: frozenset[Holding] = frozenset({"text", "words", "overlaps"})
KEYS = ("text", "tokens", "spans", "answer", "relations")
ANSWERS = ("accept", "reject", "ignore")


def recognise(path: Path, head: str) -> str | None:
    row = first_value(head, path)
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        return None
    if isinstance(row.get("spans"), list) or (isinstance(row.get("tokens"), list) and "answer" in row):
        return 'objects with "text" and "spans"'
    return None


@not_empty("text", do="give records that were accepted")
def read(path: Path, options: Options) -> Iterator[AnnotatedText]:
    for line, row in read_values(path):
        where = f"{path}:{line}"
        text = member(row, "text", str, where)
        if not options.words_only and (answer := _answer(row, where)) != "accept":
            options.notes.add(f"records answered with {answer} are not read", where)
            continue
        words = None if row.get("tokens") is None else _words(member(row, "tokens", list, where), text, where)
        mentions = () if options.words_only else _mentions(row, words, where, options.notes)
        if relations := row.get("relations"):
            number = len(relations) if isinstance(relations, list) else 1
            options.notes.add("relations are not read", where, number)
        if row.get("_is_binary") and not options.words_only:
            options.notes.add("answers of a binary recipe: the rest of the text may hold mentions too", where)
        note_keys({key: None for key in row if not key.startswith("_")}, KEYS, options.notes, where)
        yield counted(AnnotatedText(text, mentions, str(path), line, words=words), options)


def _answer(row: JsonObject, where: str) -> str:
    answer = row.get("answer", "accept")
    if answer not in ANSWERS:
        raise DataError("not an answer of Prodigy", where=where, got=shown(answer), do=f"use {', '.join(ANSWERS)}")
    return str(answer)


def _words(tokens: list[Any], text: str, where: str) -> tuple[tuple[int, int], ...]:
    found = []
    for token in tokens:
        start, end = (member(token, key, int, where) for key in ("start", "end"))
        said, inside = member(token, "text", str, where), piece(text, start, end, where)
        if said != inside:
            what = f"a token's text is not the text from {start} to {end}, which is {shown(inside)}"
            raise DataError(what, where=where, got=shown(said), do="correct its offsets or its text")
        found.append((start, end))
    return tuple(found)


def _mentions(
    row: JsonObject, words: tuple[tuple[int, int], ...] | None, where: str, notes: Notes
) -> tuple[Mention, ...]:
    if row.get("spans") is None and words is not None and "answer" in row:
        return ()
    found = []
    for span in member(row, "spans", list, where):
        start, end = (member(span, key, int, where) for key in ("start", "end"))
        label, answer = member(span, "label", str, where), _answer(span, where)
        if answer != "accept":
            notes.add(f"spans answered with {answer} are not read", where)
            continue
        if words is not None and not span.keys().isdisjoint(("token_start", "token_end")):
            first, last = (member(span, key, int, where) for key in ("token_start", "token_end"))
            if not 0 <= first <= last < len(words) or (words[first][0], words[last][1]) != (start, end):
                got = f"tokens {shown(first)} to {shown(last)}, characters {shown(start)} to {shown(end)}"
                raise DataError(
                    "a span's tokens do not match its characters", where=where, got=got, do="correct the span"
                )
        found.append(Mention(start, end, label))
    return tuple(found)


def write(records: Iterable[AnnotatedText], path: Path) -> None:
    write_lines(map(_row, records), path)


def _row(record: AnnotatedText) -> JsonObject:
    row: JsonObject = {"text": record.text}
    words = record.words or ()
    if record.words is not None:
        row["tokens"] = [
            {
                "text": piece(record.text, start, end, record.place),
                "start": start,
                "end": end,
                "id": number,
                "ws": record.text[end : end + 1] == " ",
            }
            for number, (start, end) in enumerate(words)
        ]
    firsts = {start: number for number, (start, _) in enumerate(words)}
    lasts = {end: number for number, (_, end) in enumerate(words)}
    row["spans"] = []
    for start, end, label, _ in record.mentions:
        span: JsonObject = {"start": start, "end": end}
        first, last = firsts.get(start), lasts.get(end)
        if first is not None and last is not None and first <= last:
            span |= {"token_start": first, "token_end": last}
        row["spans"].append(span | {"label": label})
    return row | {"answer": "accept"}
