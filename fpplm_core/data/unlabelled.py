"""Unlabelled text for self-training: streamed from files of lines, and sampled with a seed.

The sample consists of the sentences with the lowest ranks (`ranks`). So every different sentence is equally likely to
be drawn, a repeated one is drawn at most once, the order of files does not matter, memory grows with the sample only,
and new text changes few sentences of the sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fpplm_core.data.formats._json import member, read_values
from fpplm_core.data.formats.jsonl import words_of
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.data.ranks import RANKS, rank_of
from fpplm_core.data.records import Sentence
from fpplm_core.data.text_files import read_lines

LONGEST = 10_000  # characters in the words of a sentence: longer lines are whole documents, or not text at all


def sample(sentences: Iterable[Sentence], size: int, seed: int) -> list[Sentence]:
    """At most `size` different sentences, in random order; the draw depends on the seed and the words alone."""
    kept: dict[int, Sentence] = {}
    limit = RANKS
    for sentence in sentences:
        rank = rank_of(sentence.words, seed)
        if rank < limit and rank not in kept:
            kept[rank] = sentence
            if len(kept) == 2 * size:
                kept = {rank: kept[rank] for rank in sorted(kept)[:size]}
                limit = max(kept)
    return [kept[rank] for rank in sorted(kept)[:size]]


def read_texts(path: Path, options: Options) -> Iterator[Sentence]:
    """The sentences of a file, one per line, with the tag O for every word; those that are too long are only noted.

    A .jsonl file contains objects with a list of words (the keys of the format jsonl) or with a `text`; any other file
    is plain text. `options` splits text into words. Labels are not read. Raises DataError, which names the line.
    """
    texts = _objects(path, options) if path.suffix == ".jsonl" else _lines(path, options)
    for sentence in texts:
        if sum(map(len, sentence.words)) > LONGEST:
            options.notes.add(f"unlabelled texts of more than {LONGEST} characters are left out", sentence.place)
        elif sentence.words:
            yield sentence


def _lines(path: Path, options: Options) -> Iterator[Sentence]:
    for number, line in enumerate(read_lines(path), start=1):
        yield _sentence(line, path, number, options)


def _objects(path: Path, options: Options) -> Iterator[Sentence]:
    column, notes = options.word_column, Notes()  # labels are left out on purpose, so notes are discarded
    for number, row in read_values(path):
        has_column = isinstance(row, dict) and isinstance(column, str) and isinstance(row.get(column), list)
        own = Options(column if has_column else None, notes=notes)  # it is named for the annotated files
        sentence = words_of(row, own, str(path), number) if isinstance(row, dict) else None
        yield sentence or _sentence(_text(row, f"{path}:{number}"), path, number, options)


def _text(row: Any, where: str) -> str:
    text: str = member(row, "text", str, where)
    return text


def _sentence(text: str, path: Path, number: int, options: Options) -> Sentence:
    ranges = options.segment(text) if len(text) <= 2 * LONGEST else [(0, len(text))]  # too long to be worth cutting
    words = tuple(text[start:end] for start, end in ranges)
    return Sentence(words, ("O",) * len(words), str(path), (number,) * len(words))
