"""Ways in which tools count offsets: in UTF-16 units, characters or bytes, with a line end (CRLF) as one or as two."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.errors import DataError, shown
from fpplm_core.tagging.words import visible_range

UTF16, POINTS, BYTES = "UTF-16 units", "characters", "bytes of UTF-8"
ONE = ", with a line end (CRLF) as one"
LEAST_OFF = 2  # edges of mentions that must lie inside words as they are given, before offsets are doubted
Places = Mapping[int, int]


def utf16_places(text: str) -> list[int]:
    """Where each character begins, and the text ends, in UTF-16 units."""
    return list(accumulate((1 + (char > "\uffff") for char in text), initial=0))


def ways_of(text: str) -> dict[str, Places]:
    """From offsets to characters: in UTF-16 units, in characters; the same with CRLF as one, where there is one."""
    found: dict[str, Places] = {
        UTF16: {unit: place for place, unit in enumerate(utf16_places(text))},
        POINTS: dict(enumerate(range(len(text) + 1))),
    }
    if "\r\n" in text:
        kept = [place for place in range(len(text) + 1) if text[place - 1 : place + 1] != "\r\n"]
        units = utf16_places(text.replace("\r\n", "\n"))
        found |= {UTF16 + ONE: dict(zip(units, kept, strict=True)), POINTS + ONE: dict(enumerate(kept))}
    return found


def counted(record: AnnotatedText, options: Options) -> AnnotatedText:
    """The record itself, whose mentions are given in characters.

    Raises DataError if mentions begin or end inside words as they are given, but all are whole words if counted in
    another way; noted only where `options` widens mentions to whole words.
    """
    text = record.text
    if not record.mentions or (text.isascii() and "\r\n" not in text):
        return record
    if all(_is_edge(text, mention.start) and _is_edge(text, mention.end) for mention in record.mentions):
        return record
    words = options.segment(text) if record.words is None else record.words
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    off = [mention for mention in record.mentions if not _is_whole(text, mention, starts, ends)]
    if sum((mention.start not in starts) + (mention.end not in ends) for mention in off) < LEAST_OFF:
        return record
    in_bytes = accumulate((len(char.encode("utf-8", "replace")) for char in text), initial=0)
    for way, places in (ways_of(text) | {BYTES: {byte: place for place, byte in enumerate(in_bytes)}}).items():
        if all(
            places.get(m.start) in starts and places.get(m.end) in ends and m.start < m.end for m in record.mentions
        ):
            what = f"offsets that fit words if they count {way}, but not in characters"
            if options.misaligned == "expand":
                options.notes.add(what, record.place)
                break
            got = f"{shown(off[0].start)} to {shown(off[0].end)}, {shown(text[max(0, off[0].start) : off[0].end])}"
            do = "give offsets in characters (code points), or set data.misaligned to expand to take them as they are"
            raise DataError(what, where=record.place, got=got, do=do)
    return record


def _is_whole(text: str, mention: Mention, starts: set[int], ends: set[int]) -> bool:
    """Whether a mention consists of words, apart from invisible characters at its edges."""
    start, end = mention[:2]
    if 0 <= start < end <= len(text):
        start, end = visible_range(text, start, end)
    return start in starts and end in ends


def _is_edge(text: str, place: int) -> bool:
    """Whether the characters on the two sides of a place are not both letters or digits."""
    return 0 <= place <= len(text) and not text[max(0, place - 1) : place + 1].isalnum()
