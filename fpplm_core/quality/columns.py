"""The splits of a corpus as batches of columns, and what every table computes from them.

A split is read from Parquet (words, tags, file, lines, document) in batches. In a batch, every distinct word, and every
distinct tag with its neighbours, is judged once; the words of all its sentences form one row, of which a sentence or an
entity is a range. Of the whole corpus only some numbers a sentence or mention are kept in memory, and 64-bit hashes of
texts (among a million different texts, two have the same hash with a probability of 3 in 10^8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow.parquet import ParquetFile

from fpplm_core.tagging.spans import spans_from_tags
from fpplm_core.tracking import track

SENTENCES = 10_000  # sentences in one batch
# The base of the hashes of word sequences. It is odd, so it has an inverse modulo 2^64, which makes a hash independent
# of the position of the words.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)

Corpus = Mapping[str, ParquetFile]
Numbers = NDArray[np.intp]
Hashes = NDArray[np.uint64]
TagContext = tuple[str | None, str, str | None]  # a tag between its neighbours, None beyond the sentence's edge


class Entities(NamedTuple):
    """The entities of a batch: words `start` (included) to `end` (excluded) of the row of all words, and the type."""

    start: Numbers
    end: Numbers
    kind: Numbers  # which of the names
    names: list[str]


def batches(corpus: Corpus, columns: list[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Every batch with its split; for a split without sentences, one empty batch."""
    for split, data in corpus.items():
        if not data.metadata.num_rows:
            yield split, pa.RecordBatch.from_pylist([], data.schema_arrow)
        rows = data.iter_batches(SENTENCES, columns=columns)
        for batch in track(rows, f"sentences of {split}", data.metadata.num_rows, len):
            yield split, batch


def finding_column(rows: int, found: Iterable[int], describe: Callable[[int], str]) -> NDArray[np.object_]:
    """The column of a check: the description of each row in which it found something, else None."""
    column = np.full(rows, None, dtype=object)
    for row in found:
        column[row] = describe(row)
    return column


def place_of(batch: pa.RecordBatch) -> Callable[[int], str]:
    """file:line of a word by its number in the batch."""
    lines, last = batch["lines"].flatten().to_numpy(), ends(batch["lines"])
    return lambda word: f"{batch['file'][int(np.searchsorted(last, word, side='right'))].as_py()}:{lines[word]}"


def distinct(column: pa.StringArray) -> tuple[pa.StringArray, NDArray[np.int32]]:
    """The distinct values of a column, and which of them each row has."""
    encoded = column.dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy()


def matching(words: pa.StringArray, pattern: str) -> NDArray[np.bool_]:
    """Whether each text contains a match of an RE2 pattern."""
    found: NDArray[np.bool_] = pc.match_substring_regex(words, pattern).to_numpy(zero_copy_only=False)
    return found.astype(bool)


def ends(lists: pa.ListArray) -> Numbers:
    """The end of each list (excluded) in the row of all values."""
    return np.cumsum(lists.value_lengths().to_numpy(), dtype=np.intp)


def sums_of_lists(values: NDArray[Any], ends: Numbers) -> NDArray[Any]:
    """The sum of the values of each list."""
    return np.diff(np.concatenate([[0], np.cumsum(values)])[ends], prepend=0)


def hashes(texts: Any) -> Hashes:
    """A hash of each text."""
    array = texts.to_numpy(zero_copy_only=False) if isinstance(texts, pa.Array) else np.array(texts, dtype=object)
    return pd.util.hash_array(array.astype(object), categorize=False)


def join_words(lists: pa.ListArray) -> pa.StringArray:
    """Each list of words as one text, with a space between them."""
    return pc.binary_join(lists, " ")


class RollingHashes:
    """Hashes of word sequences, from the hashes of the words (Karp and Rabin 1987)."""

    def __init__(self, words: Hashes) -> None:
        number = len(words)
        powers = np.cumprod(np.full(number, _BASE, dtype=np.uint64))
        self.sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(words * powers, dtype=np.uint64)])
        self.inverse = np.cumprod(np.full(number, _INVERSE, dtype=np.uint64))

    def between(self, start: Numbers, end: Numbers) -> Hashes:
        """A hash of the words from each start (included) to its end (excluded)."""
        found: Hashes = (self.sums[end] - self.sums[start]) * self.inverse[start]
        return found


def tags_in_context(tags: pa.ListArray) -> tuple[list[TagContext], Numbers]:
    """The distinct tags with both neighbours, and which of these each word has."""
    different, tag = distinct(tags.flatten())
    names = [*different.to_pylist(), None]
    edge, base = len(names) - 1, len(names)
    last = ends(tags)
    last = last[tags.value_lengths().to_numpy() > 0]
    padded = np.concatenate([[edge], tag, [edge]]).astype(np.int64)
    before, after = padded[:-2].copy(), padded[2:].copy()
    before[last[:-1]] = edge
    after[last - 1] = edge
    context, codes = pd.factorize((before * base + tag) * base + after)
    triples = [(code // base // base, code // base % base, code % base) for code in codes.tolist()]
    return [(names[a], str(names[b]), names[c]) for a, b, c in triples], context


def batch_entities(contexts: list[TagContext], context: Numbers) -> Entities:
    """The entities of a batch, read as `spans_from_tags` does, which looks back at one tag only."""
    kinds = [_inside(before, tag) for before, tag, _ in contexts]
    names = sorted({kind for kind, _ in kinds if kind is not None})
    numbers = {name: number for number, name in enumerate(names)}
    starts = np.array([begins for _, begins in kinds], dtype=bool)[context]
    goes_on = np.array([kind is not None and not begins for kind, begins in kinds], dtype=bool)[context]
    start = np.flatnonzero(starts)
    more = np.concatenate([[0], np.cumsum(goes_on)])
    length = 1 + more[np.append(start[1:], len(context))] - more[start] if len(start) else start
    kind = np.array([-1 if kind is None else numbers[kind] for kind, _ in kinds], dtype=np.intp)[context]
    return Entities(start, start + length, kind[start], names)


def _inside(before: str | None, tag: str) -> tuple[str | None, bool]:
    """The type of the entity to which a tag belongs, given the tag before it, and whether the entity begins there."""
    tags = [tag] if before is None else [before, tag]
    found = [span for span in spans_from_tags(tags) if span.end == len(tags)]
    return (found[0].type, found[0].start == len(tags) - 1) if found else (None, False)
