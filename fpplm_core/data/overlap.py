"""Finds sentences of dev and test in training data, also if they were cut, joined, or changed in a few words.

Tags are not compared. Two sentences of SHORT or more tokens overlap if they `are_alike`.

A shorter sentence (a name, a date, a score) recurs by chance, and so does a mention. Such a piece overlaps only if dev
or test have it as it is (as a mention, as a whole sentence or, from two tokens on, inside a sentence) and the `known`
sentences lack it. A longer sentence also overlaps if at least ALIKE of it are such mentions and short sentences, as in
a list of names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpplm_core.data.likeness import ALIKE, Tokens, allowed, are_alike, tokens_of
from fpplm_core.data.records import Sentence
from fpplm_core.tagging.spans import spans_from_tags

SHORT = 5  # tokens of a sentence that is compared in parts
_AT_ONCE = 2_000  # sentences
_MOST_PAIRS = 4_000_000  # of a sentence's token pairs with those of dev and test, held at once: about 200 MB


class _Grams(NamedTuple):
    """Sorted codes of token sequences of one length, and the number of the sentence that has each."""

    codes: NDArray[np.int64]
    owners: NDArray[np.intp]


class HeldOut:
    """The sentences of dev and test, indexed to be found in others; `known` are sentences that may recur."""

    def __init__(self, sentences: Iterable[Sentence], known: Iterable[Sentence] = ()) -> None:
        self.places: list[str] = []  # file:line of each different sentence
        self.tokens: list[Tokens] = []
        self._pieces: dict[Tokens, int] = {}
        numbers: dict[Tokens, int] = {}
        for sentence in sentences:
            tokens = tokens_of(sentence.words)
            number = numbers.setdefault(tokens, len(numbers))
            if number == len(self.tokens):
                self.tokens.append(tokens)
                self.places.append(sentence.place)
            for piece in _pieces_of(sentence, tokens):
                self._pieces.setdefault(piece, number)
        self._known: set[Tokens] = set()
        for sentence in known:
            pieces = _pieces_of(sentence, tokens_of(sentence.words))
            self._known |= {piece for piece in pieces if len(piece) < SHORT}
            for piece in pieces:
                self._pieces.pop(piece, None)
        self._sizes = sorted(set(map(len, self._pieces)), reverse=True)
        self._vocabulary = {token: n for n, token in enumerate(sorted({t for row in self.tokens for t in row}))}
        rows = [self._numbers(tokens) for tokens in self.tokens]
        self._grams = {size: self._index(rows, size) for size in range(2, SHORT)}

    @property
    def compared(self) -> int:
        """How many different sentences have SHORT or more tokens."""
        return sum(len(tokens) >= SHORT for tokens in self.tokens)

    def find(self, sentences: Iterable[Sentence]) -> Iterator[tuple[Sentence, int | None]]:
        """Each sentence, and the number of a sentence of dev or test that it overlaps with, if any."""
        stream = iter(sentences)
        while part := list(islice(stream, _AT_ONCE)):
            rows = [tokens_of(sentence.words) for sentence in part]
            candidates = self._candidates(rows)
            for number, (sentence, tokens) in enumerate(zip(part, rows, strict=True)):
                yield sentence, self._match(tokens, candidates.get(number, []))

    def contained(self, sentences: Iterable[Sentence]) -> set[int]:
        """The numbers of all sentences of SHORT or more tokens that overlap with one of these."""
        stream, found = iter(sentences), set[int]()
        while rows := [tokens_of(sentence.words) for sentence in islice(stream, _AT_ONCE)]:
            for number, others in self._candidates(rows).items():
                new = (other for other in others if other not in found)
                found |= {other for other in new if are_alike(rows[number], self.tokens[other])}
        return found

    def _match(self, tokens: Tokens, candidates: list[int]) -> int | None:
        if len(tokens) < SHORT:
            return self._match_short(tokens)
        alike = (other for other in candidates if are_alike(tokens, self.tokens[other]))
        found = next(alike, None)
        return self._match_list(tokens) if found is None else found

    def _match_short(self, tokens: Tokens) -> int | None:
        """The sentence of dev or test that has this short one, unless it is known."""
        if not tokens or tokens in self._known:
            return None
        if len(tokens) == 1 or tokens in self._pieces:
            return self._pieces.get(tokens)
        grams, code = self._grams[len(tokens)], self._codes(self._numbers(tokens), len(tokens))
        place = int(np.searchsorted(grams.codes, code[0])) if len(code) else len(grams.codes)
        return int(grams.owners[place]) if place < len(grams.codes) and grams.codes[place] == code[0] else None

    def _match_list(self, tokens: Tokens) -> int | None:
        """The sentence of the first piece in these tokens if most of them belong to pieces."""
        owners, place = list[int](), 0
        while place < len(tokens):
            sizes = (size for size in self._sizes if size <= len(tokens) - place)
            size = next((size for size in sizes if tokens[place : place + size] in self._pieces), 0)
            owners += [self._pieces[tokens[place : place + size]]] * size if size else []
            place += size or 1
        return owners[0] if len(owners) >= ALIKE * len(tokens) else None

    def _candidates(self, rows: list[Tokens]) -> dict[int, list[int]]:
        """For each row, the sentences with as many of its pairs of tokens as `are_alike` needs, the most first."""
        codes = [self._codes(self._numbers(row), 2) if len(row) >= SHORT else np.zeros(0, np.int64) for row in rows]
        wanted, grams = np.concatenate(codes), self._grams[2]
        low = np.searchsorted(grams.codes, wanted, "left")
        times = np.searchsorted(grams.codes, wanted, "right") - low
        if times.sum() > _MOST_PAIRS and len(rows) > 1:
            half = len(rows) // 2
            second = self._candidates(rows[half:])
            return self._candidates(rows[:half]) | {half + number: others for number, others in second.items()}
        steps = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        here = np.repeat(np.repeat(np.arange(len(rows)), [len(code) for code in codes]), times)
        there = grams.owners[np.repeat(low, times) + steps]
        keys, counts = np.unique(here * len(self.tokens) + there, return_counts=True)
        found: dict[int, list[int]] = {}
        for place in np.argsort(-counts, kind="stable").tolist():
            row, other = divmod(int(keys[place]), len(self.tokens))
            size = min(len(rows[row]), len(self.tokens[other]))
            if size >= SHORT and counts[place] >= size - 1 - 2 * allowed(size):
                found.setdefault(row, []).append(other)
        return found

    def _numbers(self, tokens: Tokens) -> NDArray[np.int64]:
        """The number of each token, -1 for one that dev and test lack."""
        return np.array([self._vocabulary.get(token, -1) for token in tokens], dtype=np.int64)

    def _index(self, rows: list[NDArray[np.int64]], size: int) -> _Grams:
        codes = [self._codes(row, size) for row in rows]
        owners = np.repeat(np.arange(len(rows)), [len(code) for code in codes])
        flat = np.concatenate([*codes, np.zeros(0, np.int64)])
        order = np.argsort(flat, kind="stable")
        return _Grams(flat[order], owners[order])

    def _codes(self, row: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        """A code of each sequence of tokens that dev and test have, modulo 2^64."""
        number = max(0, len(row) - size + 1)
        codes, inside = np.zeros(number, np.int64), np.ones(number, bool)
        for step in range(size):
            token = row[step : step + number]
            codes, inside = codes * max(2, len(self._vocabulary)) + token, inside & (token >= 0)
        return codes[inside]


def distinct(sentences: Sequence[Sentence]) -> list[int]:
    """The places of the sentences to keep: each that is not like one kept before; short ones only have to differ."""
    index = HeldOut(sentences)
    numbers = {tokens: number for number, tokens in enumerate(index.tokens)}
    candidates = index._candidates(index.tokens) if index.tokens else {}
    kept: dict[int, int] = {}
    for place, sentence in enumerate(sentences):
        number = numbers[tokens_of(sentence.words)]
        tokens = index.tokens[number]
        others = (index.tokens[other] for other in candidates.get(number, ()) if other in kept)
        if number not in kept and not any(are_alike(tokens, other) for other in others):
            kept[number] = place
    return list(kept.values())


def _pieces_of(sentence: Sentence, tokens: Tokens) -> set[Tokens]:
    """The mentions of a sentence, and the sentence itself if it is short."""
    mentions = {tokens_of(sentence.words[span.start : span.end]) for span in spans_from_tags(sentence.tags)}
    return {piece for piece in mentions | ({tokens} if len(tokens) < SHORT else set()) if piece}
