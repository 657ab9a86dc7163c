"""Regions of Label Studio: read from its objects, and placed in the text by what their own texts say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from fpplm_core.data.formats._counting import ONE, POINTS, UTF16, Places, ways_of
from fpplm_core.data.formats._json import member
from fpplm_core.data.notes import Notes
from fpplm_core.data.records import Mention
from fpplm_core.errors import DataError, shown
from fpplm_core.tagging.words import Range


class Region(NamedTuple):
    """A label from `start` to `end`, in whatever units; `text` is what Label Studio says stands there, or None.

    `control` is the name of the Labels tag, `target` that of the text, "" where they are not given.
    """

    start: int
    end: int
    label: str
    text: str | None
    control: str
    target: str = ""


def region_of(value: Any, where: str, control: str, target: str = "") -> Region:
    """A region from its `value`. Raises DataError."""
    if isinstance(value, dict) and "startOffset" in value:
        raise other_region("hypertext", where)
    start, end = (member(value, key, int, where) for key in ("start", "end"))
    labels = member(value, "labels", list, where)
    if len(labels) != 1 or not isinstance(labels[0], str):
        raise DataError("a region must have one label", where=where, got=shown(labels), do="correct the annotation")
    text = None if value.get("text") is None else member(value, "text", str, where)
    return Region(start, end, labels[0], text, control, target)


def other_region(kind: str, where: str) -> DataError:
    do = "annotate a Text tag with a Labels tag"
    return DataError("regions that are not over plain text", where=where, got=kind[:60], do=do)


class Chosen:
    """The regions of one Labels tag: the named one, or the only one of the file."""

    def __init__(self, control: int | str | None, notes: Notes) -> None:
        self.named = control if isinstance(control, str) else ""
        self.notes = notes
        self.seen: dict[str, None] = {}

    def of(self, regions: Sequence[Region], where: str) -> list[Region]:
        """These regions without those of other Labels tags. Raises DataError if there are several and none is named."""
        self.seen |= {region.control: None for region in regions if region.control}
        if not self.named and len(self.seen) > 1:
            got, do = shown(list(self.seen)), "choose one (data.tag_column)"
            raise DataError("regions of several Labels tags", where=where, got=got, do=do)
        kept = [region for region in regions if self.named in ("", region.control)]
        self.notes.add(
            f"regions of Labels tags other than {self.named!r} are not read", where, len(regions) - len(kept)
        )
        return kept

    def check(self, path: str) -> None:
        """Raises DataError if the file has regions, but none of the named Labels tag."""
        if self.named and self.seen and self.named not in self.seen:
            got, do = shown(list(self.seen)), "correct data.tag_column"
            raise DataError(f"no region of the Labels tag {self.named[:60]!r}", where=path, got=got, do=do)


class Seen:
    """What earlier tasks of a file have decided: the way of counting, and the key of the text, "" before they have."""

    def __init__(self) -> None:
        self.way = ""
        self.key = ""


def mentions_of(text: str, regions: Sequence[Region], where: str, notes: Notes, seen: Seen) -> tuple[Mention, ...]:
    """The regions in characters of the text, by the way of counting that the texts of all of them agree with.

    If several do, that of earlier tasks, or else the one by which regions without a text stand at words. Raises
    DataError if none does, or if some have no text and nothing else decides how line ends are counted.
    """
    ways = {name: _placed(regions, places) for name, places in ways_of(text).items()}
    fitting: dict[str, list[Range]] = {}
    for same in (_is_same, _is_same_but_for_white_space):
        fitting = {name: way for name, way in ways.items() if _fits(text, regions, way, same)}
        if fitting:
            notes.add("texts of regions differ from the text in white space", where, same is not _is_same)
            break
    else:
        raise _misplaced(text, regions, ways[UTF16], where)
    name, is_known = next(iter(fitting)), ways[UTF16] == ways[POINTS]
    has_all_texts = all(region.text is not None for region in regions)
    if any(ONE in other and fitting[other] != fitting[name] for other in fitting):
        if not has_all_texts:
            name = _at_words(text, fitting, where)
        elif ONE not in name:
            notes.add("offsets counted with a line end (CRLF) as two characters (assumed)", where)
    elif not is_known and UTF16 in fitting and POINTS in fitting:
        at_words = [] if has_all_texts else [way for way in (UTF16, POINTS) if _is_at_words(text, fitting[way])]
        is_known = seen.way in fitting
        name = seen.way if is_known else at_words[0] if len(at_words) == 1 else UTF16
        seen.way = name if len(at_words) == 1 else seen.way
    elif not is_known and name in (UTF16, POINTS):
        seen.way, is_known = name, True
    chosen = fitting[name]
    if chosen not in (ways[UTF16], ways[POINTS]):
        notes.add("offsets counted with a line end (CRLF) as one character, as browsers count", where)
    elif name == POINTS and chosen != ways[UTF16]:
        notes.add("offsets counted in code points", where)
    elif not is_known and POINTS in fitting:
        notes.add("offsets counted in UTF-16 units (assumed)", where)
    return tuple(Mention(*span, region.label) for span, region in zip(chosen, regions, strict=True))


def may_be_of(text: str, regions: Sequence[Region], at_words: bool) -> bool:
    """Whether some way of counting finds the regions' texts in this one; with `at_words`, also at borders of words."""
    ways = (_placed(regions, places) for places in ways_of(text).values())
    fitting = [way for way in ways if _fits(text, regions, way, _is_same_but_for_white_space)]
    return any(map(partial(_is_at_words, text), fitting)) if at_words else bool(fitting)


def _placed(regions: Sequence[Region], places: Places) -> list[Range]:
    return [(places.get(region.start, -1), places.get(region.end, -1)) for region in regions]


def _fits(text: str, regions: Sequence[Region], ranges: Sequence[Range], same: Callable[[str, str], bool]) -> bool:
    return all(
        0 <= start < end <= len(text) and (region.text is None or same(region.text, text[start:end]))
        for region, (start, end) in zip(regions, ranges, strict=True)
    )


def _is_same(said: str, found: str) -> bool:
    return said in (found, found.replace("\r\n", "\n"))


def _is_same_but_for_white_space(said: str, found: str) -> bool:
    r"""Label Studio writes line breaks as \n, of two characters, and leaves out white space that it does not show."""
    return said.replace("\\n", "\n").split() == found.replace("\\n", "\n").split()


def _at_words(text: str, ways: Mapping[str, list[Range]], where: str) -> str:
    """The one way of counting by which all regions begin and end at words. Raises DataError if there is none."""
    found: dict[str, list[Range]] = {}
    for name, way in ways.items():
        if way not in found.values() and _is_at_words(text, way):
            found[name] = way
    if len(found) != 1:
        what = "cannot tell whether offsets count a line end (CRLF) as one character or as two"
        do = "export the regions with their text, or with LF as line ends in the text"
        raise DataError(what, where=where, got=shown(text), do=do)
    return next(iter(found))


def _is_at_words(text: str, ranges: Sequence[Range]) -> bool:
    """Whether all ranges, which lie in the text, begin and end at words."""

    def is_edge(place: int, inside: int) -> bool:
        around = text[max(0, place - 1) : place + 1]
        return not text[inside].isspace() and not (0 < place < len(text) and around.isalnum())

    return all(is_edge(start, start) and is_edge(end, end - 1) for start, end in ranges)


def _misplaced(text: str, regions: Sequence[Region], utf16: Sequence[Range], where: str) -> DataError:
    alone = ([region] for region in regions)
    bad = (not _fits(text, one, [way], _is_same_but_for_white_space) for one, way in zip(alone, utf16, strict=True))
    region = next(region for region, is_bad in zip(regions, bad, strict=True) if is_bad)
    what = "a region's offsets do not match its text, in UTF-16 units or in code points"
    what += ", with a line end (CRLF) as one character or as two" if "\r\n" in text else ""
    got = f"{shown(region.start)} to {shown(region.end)} for {shown(region.text)}"
    return DataError(what, where=where, got=got, do="correct its offsets; all regions of a task are counted alike")
