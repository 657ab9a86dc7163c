"""Weak labels for plain text: the entries of gazetteers, wherever the text has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.data.text_files import read_lines
from fpplm_core.tagging.spans import Span, tags_from_spans

Entries = dict[tuple[str, ...], str]


def read_gazetteers(files: Iterable[tuple[str, Path]], options: Options) -> Entries:
    """The type of each entry by its words, from pairs of a type and a file with an entry on each line.

    `options` splits entries into words. Of two files with one entry, the first counts. Raises DataError.
    """
    entries: Entries = {}
    for kind, file in files:
        for line in read_lines(file):
            if words := tuple(line[start:end] for start, end in options.segment(line)):
                entries.setdefault(words, kind)
    return entries


def label_entries(sentences: Iterable[Sentence], entries: Entries) -> Iterator[Sentence]:
    """The sentences that have entries, from left to right and the longest first, as their entities; case counts."""
    longest = max(map(len, entries), default=0)
    for sentence in sentences:
        words, spans, place = sentence.words, list[Span](), 0
        while place < len(words):
            sizes = range(min(longest, len(words) - place), 0, -1)
            size = next((size for size in sizes if words[place : place + size] in entries), 0)
            if size:
                spans.append(Span(place, place + size, entries[words[place : place + size]]))
            place += size or 1
        if spans:
            yield replace(sentence, tags=tuple(tags_from_spans(spans, len(words), "IOB2")))
