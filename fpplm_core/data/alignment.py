"""Converts mentions over characters to tags over words, and back.

`Options.segment` splits a text into words, unless its file gives the words. A mention that does not fit the words is
never dropped silently: it is refused with its place, or changed as `Options` says and noted.

misaligned  for a mention that begins or ends inside a word: refuse | expand (to whole words) | split (cut the word, so
            that the mention keeps its range)
overlap     for two mentions that share a character, or a word after expanding: refuse | longest (keep the longer one,
            or the first of equals) | first (keep the one that begins first, or the longer of equals)

Invisible characters at the edges of a mention (white space, control and format characters) are cut off, unless the word
there has them, too; white space at the edges of given words is always cut off. A mention that is given twice is read
once. Text outside the given words gets no tag.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import itemgetter

from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention, Sentence
from fpplm_core.errors import DataError, shown
from fpplm_core.tagging.spans import Span, spans_from_tags, tags_from_spans
from fpplm_core.tagging.words import Range, strip_range, visible_range

SHOWN = 60  # characters of a mention or its label shown in a message


def to_sentence(record: AnnotatedText, options: Options) -> Sentence:
    """The words of a text with IOB2 tags; keeps the text and the words' offsets.

    Raises DataError, naming the place, for words or mentions outside the text, for a mention that begins or ends
    outside the words, and for what `options` refuses.
    """
    words = options.segment(record.text) if record.words is None else _given(record.words, record, options)
    mentions = _once(_trimmed(words, record, options), record, options)
    if options.misaligned == "expand":
        mentions = _once([_widened(mention, words, record, options) for mention in mentions], record, options)
    mentions = _apart(mentions, record, options)
    if options.misaligned == "split":
        words = _split_words_at(words, mentions, record, options)
    entities = []
    for mention in mentions:
        first, last = _covered(mention, words, record)
        start, end = words[first][0], words[last][1]
        if (start, end) != mention[:2]:
            whole = record.text[start:end][:SHOWN]
            do = f"correct it (whole words: {whole!r}), or set data.misaligned to expand or split"
            raise _refused("a mention begins or ends inside a word", mention, record, do)
        entities.append(Span(first, last + 1, mention.label))
    lines = tuple(_lines(words, record))
    texts = tuple(record.text[start:end] for start, end in words)
    tags = tuple(tags_from_spans(entities, len(words), "IOB2"))
    return Sentence(texts, tags, record.file, lines, record.document, record.text, tuple(words))


def to_annotated_text(sentence: Sentence) -> AnnotatedText:
    """The `text_of` a sentence with its entities as mentions."""
    text, words = text_of(sentence)
    mentions = []
    for first, end, kind in spans_from_tags(sentence.tags):
        mentions.append(Mention(words[first][0], words[end - 1][1], kind, sentence.place_of(first)))
    line = sentence.lines[0] if sentence.lines else 1
    return AnnotatedText(text, tuple(mentions), sentence.file, line, sentence.document, words)


def text_of(sentence: Sentence) -> tuple[str, tuple[Range, ...]]:
    """A sentence's text, or else its words joined by blanks; and the (start, end) of each word in it."""
    if sentence.text is not None and sentence.offsets is not None:
        return sentence.text, sentence.offsets
    return " ".join(sentence.words), tuple(places_of_joined(sentence.words))


def places_of_joined(words: Iterable[str]) -> list[Range]:
    """(start, end) of each word in the text that joins them by blanks."""
    places, end = [], -1
    for word in words:
        start = end + 1
        end = start + len(word)
        places.append((start, end))
    return places


def _trimmed(words: Sequence[Range], record: AnnotatedText, options: Options) -> list[Mention]:
    """The mentions without invisible characters at their edges, unless these belong to the words there."""
    found = []
    for mention in record.mentions:
        if not 0 <= mention.start < mention.end <= len(record.text):
            raise _refused(
                f"not a range in a text of {len(record.text)} characters", mention, record, "correct its offsets"
            )
        if not mention.label or mention.label != mention.label.strip():
            raise _refused("a label is empty or surrounded by blanks", mention, record, "correct the label")
        start, end = visible_range(record.text, mention.start, mention.end)
        if start == end:
            raise _refused("a mention without a visible character", mention, record, "remove it")
        start, end = _on_words(start, end, words, record.text)
        if (start, end) != mention[:2]:
            options.notes.add(
                "mentions without the white space and invisible characters at their edges", _noted(mention, record)
            )
        found.append(mention._replace(start=start, end=end))
    return found


def _on_words(start: int, end: int, words: Sequence[Range], text: str) -> Range:
    """The visible range start to end, with the invisible characters that the words at its edges begin and end with."""
    first = bisect_right(words, start, key=itemgetter(1))
    last = bisect_left(words, end, key=itemgetter(0)) - 1
    if first <= last:
        if visible_range(text, *words[first])[0] == start:
            start = words[first][0]
        if visible_range(text, *words[last])[1] == end:
            end = words[last][1]
    return start, end


def _once(mentions: Iterable[Mention], record: AnnotatedText, options: Options) -> list[Mention]:
    """The mentions without copies, which have the same place and label."""
    found: dict[tuple[int, int, str], Mention] = {}
    for mention in mentions:
        if mention[:3] in found:
            options.notes.add("mentions given twice are read once", _noted(mention, record))
        found.setdefault(mention[:3], mention)
    return list(found.values())


def _given(words: tuple[Range, ...], record: AnnotatedText, options: Options) -> list[Range]:
    """The words that the file gives, trimmed of white space; words of white space alone are left out."""
    found, last = [], 0
    for start, end in words:
        if not last <= start < end <= len(record.text):
            got = f"{start} to {end} after {last}, in a text of {len(record.text)} characters"
            raise DataError("words out of order", where=record.place, got=got, do="correct the tokens' offsets")
        last = end
        word = strip_range(record.text, start, end)
        if word != (start, end):
            place = f"{record.place}: {record.text[start:end][:SHOWN]!r}"
            options.notes.add("white space left out of given words", place)
        if word[0] < word[1]:
            found.append(word)
    return found


def _covered(mention: Mention, words: Sequence[Range], record: AnnotatedText) -> Range:
    """The first and the last word that the mention touches. Raises DataError if it begins or ends outside the words."""
    first = bisect_right(words, mention.start, key=itemgetter(1))
    last = bisect_left(words, mention.end, key=itemgetter(0)) - 1
    if first > last or mention.start < words[first][0] or words[last][1] < mention.end:
        do = "correct the mention, or the words of the text"
        raise _refused("a mention begins or ends outside the words", mention, record, do)
    return first, last


def _widened(mention: Mention, words: Sequence[Range], record: AnnotatedText, options: Options) -> Mention:
    first, last = _covered(mention, words, record)
    wide = mention._replace(start=words[first][0], end=words[last][1])
    if wide != mention:
        options.notes.add("mentions widened to whole words", _noted(mention, record))
    return wide


def _apart(mentions: Iterable[Mention], record: AnnotatedText, options: Options) -> list[Mention]:
    """The mentions that remain after overlaps are resolved, from left to right."""
    mentions = sorted(mentions, key=lambda m: (m.start, -m.end))
    if options.overlap == "longest":
        mentions.sort(key=lambda m: m.start - m.end)
    kept: list[Mention] = []
    for mention in mentions:
        place = bisect_left(kept, mention)
        near = kept[max(0, place - 1) : place + 1]  # kept mentions do not overlap, so only these can touch it
        overlapped = [other for other in near if other.start < mention.end and mention.start < other.end]
        if not overlapped:
            kept.insert(place, mention)
        elif options.overlap == "refuse":
            do = f"it overlaps {_described(overlapped[0], record)}; set data.overlap to longest or first"
            do += ", or data.misaligned to split" if options.misaligned == "expand" else ""
            raise _refused("two mentions overlap", mention, record, do)
        else:
            kind = f"mentions left out, as they overlap the {options.overlap} one"
            options.notes.add(kind, _noted(mention, record))
    return kept


def _split_words_at(
    words: Iterable[Range], mentions: Iterable[Mention], record: AnnotatedText, options: Options
) -> list[Range]:
    """The words, split where a mention begins or ends inside one."""
    borders = sorted({border for mention in mentions for border in mention[:2]})
    found, cut = list[Range](), list[Range]()
    for start, end in words:
        inside = borders[bisect_right(borders, start) : bisect_left(borders, end)]
        if not inside:
            found.append((start, end))
            continue
        cut.append((start, end))
        for first, last in pairwise([start, *inside, end]):
            shown = visible_range(record.text, first, last)
            if shown[0] < shown[1]:  # the word itself keeps the invisible characters at its edges
                found.append((first if first == start else shown[0], last if last == end else shown[1]))
    for (start, end), line in zip(cut, _lines(cut, record), strict=True):
        place = f"{record.file}:{line}: {record.text[start:end][:SHOWN]!r}"
        options.notes.add("words cut at the border of a mention", place)
    return found


def _lines(words: Iterable[Range], record: AnnotatedText) -> list[int]:
    """The line of the file on which each word begins."""
    newlines = [place for place, char in enumerate(record.text) if char == "\n"] if record.plain else []
    return [record.line + bisect_left(newlines, start) for start, _ in words]


def _described(mention: Mention, record: AnnotatedText) -> str:
    inside = record.text[max(0, mention.start) : max(0, mention.end)]
    label = " ".join(mention.label.split())
    return f"{label[:SHOWN]} {inside[:SHOWN]!r}, {shown(mention.start)} to {shown(mention.end)}"


def _noted(mention: Mention, record: AnnotatedText) -> str:
    return f"{record.place_of(mention)}: {_described(mention, record)}"


def _refused(what: str, mention: Mention, record: AnnotatedText, do: str) -> DataError:
    return DataError(what, where=record.place_of(mention), got=_described(mention, record), do=do)
