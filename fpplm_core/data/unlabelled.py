"""Unlabelled text for self-training: streamed from files of lines, and sampled by a seed.

The rank of a sentence is a hash of the seed and its words, and the sample are the sentences of the lowest ranks
(bottom-k sampling, Cohen & Kaplan 2007). So each different sentence is equally likely to be in it, a repeated one is in
it once, the order of files does not matter, memory is that of the sample, and new text changes few of its sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from fpplm_core.data.formats._json import member, read_values
from fpplm_core.data.formats.jsonl import words_of
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.data.text_files import read_lines

LONGEST = 10_000  # characters of a sentence: longer lines are whole documents, or no text
RANKS = 2**64


def sample(sentences: Iterable[Sentence], size: int, seed: int) -> list[Sentence]:
    """At most `size` different sentences, drawn by the seed alone, in random order."""
    kept: dict[int, Sentence] = {}
    limit = RANKS
    for sentence in sentences:
        words = "\0".join(sentence.words).encode("utf-8", "surrogatepass")
        rank = int.from_bytes(blake2b(words, digest_size=8, key=str(seed).encode()).digest(), "big")
        if rank < limit and rank not in kept:
            kept[rank] = sentence
            if len(kept) == 2 * size:
                kept = {rank: kept[rank] for rank in sorted(kept)[:size]}
                limit = max(kept)
    return [kept[rank] for rank in sorted(kept)[:size]]


def read_texts(path: Path, options: Options) -> Iterator[Sentence]:
    """The sentences of a file, one a line, with the tag O for every word; those that are too long are noted.

    A .jsonl file has objects with a list of words (the keys of the format jsonl) or with a `text`, any other file plain
    text, which `options` cuts into words. Labels are not read. Raises DataError, naming the line.
    """
    texts = _objects(path, options) if path.suffix == ".jsonl" else _lines(path, options)
    for sentence in texts:
        if sum(map(len, sentence.words)) > LONGEST:
            options.notes.add(f"unlabelled texts of more than {LONGEST} characters are left out", sentence.place)
        elif sentence.words:
            yield sentence


def _lines(path: Path, options: Options) -> Iterator[Sentence]:
    for number, line in enumerate(read_lines(path), start=1):
        yield _sentence(line[: 2 * LONGEST], path, number, options)


def _objects(path: Path, options: Options) -> Iterator[Sentence]:
    without = Options(options.word_column, notes=Notes())  # what is not read of labelled objects is meant
    for number, row in read_values(path):
        sentence = words_of(row, without, str(path), number) if isinstance(row, dict) else None
        yield sentence or _sentence(_text(row, f"{path}:{number}"), path, number, options)


def _text(row: Any, where: str) -> str:
    text: str = member(row, "text", str, where)
    return text[: 2 * LONGEST]


def _sentence(text: str, path: Path, number: int, options: Options) -> Sentence:
    words = tuple(text[start:end] for start, end in options.segment(text))
    return Sentence(words, ("O",) * len(words), str(path), (number,) * len(words))
