"""Mentions over characters to tags over words, and back.

A text becomes words by a rule (fpplm_core/text.py), or by the words that its file gives. What does not fit is never
dropped in silence: it is refused with its place, or changed as `Options` says, and noted.

overlap     two mentions share a character: refuse | longest (the longer one stays, of equal ones the first) |
            first (the one that begins first stays, of equal ones the longer)
misaligned  a mention begins or ends inside a word: refuse | expand (it becomes whole words) | split (the word is cut
            there, so that the mention stays as it is)

White space at a mention's edges is cut off, as no word holds it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from fpplm_core.errors import DataError
from fpplm_core.labels import Span, lenient_spans, to_tags
from fpplm_core.text import Annotated, Mention, Sentence, words_of

if TYPE_CHECKING:
    from fpplm_core.formats import Options

Range = tuple[int, int]  # start, end, in characters


def to_sentence(record: Annotated, options: Options) -> Sentence:
    """The words of a text with IOB2 tags, its text and the words' offsets kept.

    Raises DataError for a mention that is no place in the text, or that `options` refuses, naming its place.
    """
    mentions = _apart(_trimmed(record, options), record, options)
    words = words_of(record.text, options.words) if record.words is None else _given(record.words, record)
    found = []
    if options.misaligned == "split":
        words = _cut(words, mentions, record, options)
    starts, ends = [start for start, _ in words], [end for _, end in words]
    used = -1  # the last word of the mention before
    for mention in mentions:
        first, last = bisect_right(ends, mention.start), bisect_left(starts, mention.end) - 1
        if first > last:
            raise _refused("a mention holds no word", mention, record, "mend the mention, or the words of the text")
        if (starts[first], ends[last]) != mention[:2]:
            if options.misaligned == "refuse":
                whole = record.text[starts[first] : ends[last]]
                do = f"mend it (whole words: {whole[:60]!r}), or set data.misaligned to expand or split"
                raise _refused("a mention begins or ends inside a word", mention, record, do)
            options.notes.add("mentions widened to whole words", _said(mention, record))
        if first <= used:
            if options.overlap == "refuse":
                do = "set data.misaligned to split, or data.overlap to longest or first"
                raise _refused("two mentions share a word", mention, record, do)
            options.notes.add("mentions left out, as another one has their word", _said(mention, record))
            continue
        used = last
        found.append(Span(first, last + 1, mention.label))
    lines = tuple(map(record.line_of, starts)) if record.plain else (record.line,) * len(words)
    texts = tuple(record.text[start:end] for start, end in words)
    tags = tuple(to_tags(found, len(words), "IOB2"))
    return Sentence(texts, tags, record.file, lines, record.document, record.text, tuple(words))


def to_annotated(sentence: Sentence) -> Annotated:
    """A sentence's text, or else its words with a blank between them, and its entities as mentions."""
    text, words = sentence.text, sentence.offsets
    if text is None or words is None:
        text, words = " ".join(sentence.words), tuple(joined(sentence.words))
    mentions = []
    for first, end, kind in lenient_spans(sentence.tags):
        place = f"{sentence.file}:{sentence.lines[first]}"
        mentions.append(Mention(words[first][0], words[end - 1][1], kind, place))
    line = sentence.lines[0] if sentence.lines else 1
    return Annotated(text, tuple(mentions), sentence.file, line, sentence.document, words)


def joined(words: Iterable[str]) -> list[Range]:
    """(start, end) of each word in the text that has a blank between them."""
    places, end = [], -1
    for word in words:
        start = end + 1
        end = start + len(word)
        places.append((start, end))
    return places


def _trimmed(record: Annotated, options: Options) -> list[Mention]:
    """The mentions from left to right without white space at their edges."""
    found = []
    for mention in sorted(record.mentions, key=lambda m: (m.start, -m.end)):
        start, end, label, place = mention
        if not 0 <= start < end <= len(record.text):
            raise _refused(f"no place in a text of {len(record.text)} characters", mention, record, "mend its offsets")
        if not label or label != label.strip():
            raise _refused("a label is empty or has blanks around it", mention, record, "mend the label")
        inside = record.text[start:end]
        bare = inside.strip()
        if not bare:
            raise _refused("a mention of white space alone", mention, record, "take it out")
        if bare != inside:
            options.notes.add("mentions without the white space at their edges", _said(mention, record))
            start += len(inside) - len(inside.lstrip())
            end = start + len(bare)
        found.append(Mention(start, end, label, place))
    return found


def _apart(mentions: list[Mention], record: Annotated, options: Options) -> list[Mention]:
    """The mentions that stay where some overlap, from left to right."""
    if all(a.end <= b.start for a, b in pairwise(mentions)):
        return mentions
    if options.overlap == "refuse":
        a, b = next((a, b) for a, b in pairwise(mentions) if a.end > b.start)
        do = f"it meets {_said(a, record)}; set data.overlap to longest or first"
        raise _refused("two mentions overlap", b, record, do)
    order = sorted(mentions, key=lambda m: m.start - m.end) if options.overlap == "longest" else mentions
    kept: list[Mention] = []
    for mention in order:
        if any(mention.start < other.end and other.start < mention.end for other in kept):
            options.notes.add(f"mentions left out, as they overlap the {options.overlap} one", _said(mention, record))
        else:
            kept.append(mention)
    return sorted(kept)


def _given(words: tuple[Range, ...], record: Annotated) -> list[Range]:
    """The words that the file gives, none of white space alone."""
    last = 0
    for start, end in words:
        if not last <= start < end <= len(record.text):
            got = f"{start} to {end} after {last}, in a text of {len(record.text)} characters"
            raise DataError("words out of order", where=record.place, got=got, do="mend the tokens' offsets")
        last = end
    return [(start, end) for start, end in words if record.text[start:end].strip()]


def _cut(words: Sequence[Range], mentions: Iterable[Mention], record: Annotated, options: Options) -> list[Range]:
    """The words, cut where a mention begins or ends inside one."""
    borders = sorted({border for mention in mentions for border in mention[:2]})
    found: list[Range] = []
    for start, end in words:
        inside = borders[bisect_right(borders, start) : bisect_left(borders, end)]
        if inside:
            place = f"{record.file}:{record.line_of(start)}: {record.text[start:end]!r}"
            options.notes.add("words cut at the border of a mention", place)
        found += pairwise([start, *inside, end])
    return found


def _said(mention: Mention, record: Annotated) -> str:
    inside = record.text[max(0, mention.start) : max(0, mention.end)]
    return f"{mention.place or record.place}: {mention.label} {inside[:60]!r}, {mention.start} to {mention.end}"


def _refused(what: str, mention: Mention, record: Annotated, do: str) -> DataError:
    said = _said(mention, record).removeprefix(f"{mention.place or record.place}: ")
    return DataError(what, where=mention.place or record.place, got=said, do=do)
