"""Words to sub-word pieces to windows, and back: the one windowing of training, evaluation and serving.

A sentence longer than a window is cut into overlapping windows at word borders; every word is owned by exactly
one window, which shows the most context around it, so every word gets exactly one prediction. A window may also
show neighbouring sentences of the same document (FLERT, 2011.06993), whose words it does not own.
It needs only numpy and tokenizers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Window:
    """One row for the encoder.

    `ids` are its pieces with the special ones; `owned_words` the indices (in the sentence) of the words that it owns,
    `first_pieces` the positions of their first pieces in `ids`; `types` has one token type a piece, 0 where shapes are
    off.
    """

    sentence: int
    ids: list[int]
    owned_words: list[int]
    first_pieces: list[int]
    types: list[int]


Documents = Sequence[int | None] | None  # the document number of each sentence; None is a document of its own
UNKNOWN = ("[UNK]", "<unk>")  # pieces for what the vocabulary lacks
LONGEST_CACHED = 100  # characters of a word that is remembered: endless streams may have endless words
WORD_SHAPES = ("lower", "Title", "UPPER", "Initial", "miXed", "digit", "other")


def word_shape(word: str) -> int:
    """The index in WORD_SHAPES of how a word is written: what an encoder that lower-cases its input cannot see."""
    return _known_shape(word) if len(word) <= LONGEST_CACHED else _shape(word)


def _shape(word: str) -> int:
    if any(char.isdigit() for char in word):
        return 5
    letters = [char for char in word if char.isalpha()]
    if not letters:
        return 6
    if not any(char.isupper() for char in letters):
        return 0
    if all(char.isupper() for char in letters):
        return 2 if len(letters) > 1 else 3
    return 1 if letters[0].isupper() and not any(char.isupper() for char in letters[1:]) else 4


_known_shape = lru_cache(100_000)(_shape)


class WindowBuilder:
    """Cuts words into pieces and sentences into windows.

    A word is encoded by itself, so its pieces do not depend on its neighbours and are cached. It has no special piece,
    even if it is written as one is, such as [SEP] or </s>.
    A word that the tokenizer turns into no pieces (invisible characters) gets `filler`, so that it has a position;
    `pieceless` counts such words. A word longer than a window keeps its leading pieces; `cut_words` counts those.

    `context` is the number of pieces of neighbouring sentences on each side, `first_shape_type` the token type of the
    first of WORD_SHAPES, None if token types do not encode shapes.
    """

    def __init__(
        self, tokenizer: Tokenizer, window: int, stride: int, context: int = 0, first_shape_type: int | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.window, self.stride, self.context, self.first_shape_type = window, stride, context, first_shape_type
        self.tokenizer.encode_special_tokens = True  # a word [SEP] is text
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        bare = tokenizer.encode("a", add_special_tokens=False).ids
        whole = tokenizer.encode("a", add_special_tokens=True).ids
        offset = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        self.prefix, self.suffix = whole[:offset], whole[offset + len(bare) :]
        self.capacity = window - len(self.prefix) - len(self.suffix)
        self.unknown_pieces = {index for name in UNKNOWN if (index := tokenizer.token_to_id(name)) is not None}
        special = {index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self.special_pieces = special.union(self.prefix, self.suffix) - self.unknown_pieces
        self.filler = self._filler()
        self.pieceless = 0
        self.cut_words = 0
        self._pieces: dict[str, list[int]] = {}

    def _filler(self) -> int:
        for token in (*UNKNOWN, "[MASK]", "<mask>", "<|endoftext|>", "[PAD]", "<pad>"):
            index = self.tokenizer.token_to_id(token)
            if index is not None:
                return int(index)
        return 0

    def pieces(self, words: Iterable[str]) -> list[list[int]]:
        """The pieces of each word, at least one and at most a window full."""
        return self._fitted(self._encoded(list(words)))

    def unknown(self, words: list[str]) -> list[bool]:
        """Whether the tokenizer does not know each word: it has no pieces, or only unknown ones."""
        return [self.unknown_pieces.issuperset(ids) for ids in self._encoded(words)]

    def _encoded(self, words: list[str]) -> list[list[int]]:
        """The pieces of each word as the tokenizer gives them: none, some, or more than a window holds."""
        known = self._pieces
        new = list(dict.fromkeys(word for word in words if word not in known))
        if len(known) + len(new) > 500_000:  # bounded memory on endless streams
            known.clear()
            new = list(dict.fromkeys(words))
        # Tokenizers reject half a surrogate pair, which JSON can carry.
        readable = [word.encode("utf-8", "replace").decode() for word in new]
        found = self.tokenizer.encode_batch(readable, add_special_tokens=False)
        fresh = {
            word: encoded.ids if self.special_pieces.isdisjoint(encoded.ids) else self._spelled(text)
            for word, text, encoded in zip(new, readable, found, strict=True)
        }
        known.update((word, ids) for word, ids in fresh.items() if len(word) <= LONGEST_CACHED)
        return [fresh[word] if word in fresh else known[word] for word in words]

    def _spelled(self, word: str) -> list[int]:
        """The pieces of each character: a Unigram model has </s> among its own pieces, and finds it in a word."""
        characters = self.tokenizer.encode_batch(list(word), add_special_tokens=False)
        return [index for one in characters for index in one.ids if index not in self.special_pieces]

    def _fitted(self, parts: list[list[int]], begin: int = 0, end: int | None = None) -> list[list[int]]:
        """Each word's pieces as a window shows them; counts the pieceless and cut words in parts[begin:end]."""
        self.pieceless += sum(not ids for ids in parts[begin:end])
        self.cut_words += sum(len(ids) > self.capacity for ids in parts[begin:end])
        return [ids if 0 < len(ids) <= self.capacity else ids[: self.capacity] or [self.filler] for ids in parts]

    def windows(
        self,
        sentences: Sequence[Sequence[str]],
        documents: Documents = None,
        own: range | None = None,
    ) -> list[Window]:
        """The windows of all sentences, in order; a sentence without words has none.

        `documents` numbers the document of each sentence; None is a document of its own, without neighbours.
        With `own`, the windows of these sentences alone: the others are their neighbours.
        """
        own = range(len(sentences)) if own is None else own
        flat = [word for words in sentences for word in words]
        bounds = np.cumsum([0, *map(len, sentences)]).tolist()
        parts = self._fitted(self._encoded(flat), bounds[own.start], bounds[own.stop])
        types = [0 if self.first_shape_type is None else self.first_shape_type + word_shape(word) for word in flat]
        lengths = np.array([len(part) for part in parts], dtype=np.intp)
        found = []
        for number in own:
            begin, finish = bounds[number : number + 2]
            low, high = self._document(number, bounds, documents)
            for start, end, owned in window_bounds(lengths[begin:finish], self.capacity, self.stride):
                left, right = self._widen(lengths, (low, begin + start, begin + end, high))
                ids, shown, first = list(self.prefix), [0] * len(self.prefix), []
                for word in range(left, right):
                    if word - begin in owned:
                        first.append(len(ids))
                    ids += parts[word]
                    shown += [types[word]] * len(parts[word])
                ids += self.suffix
                shown += [0] * len(self.suffix)
                found.append(Window(number, ids, list(owned), first, shown))
        return found

    def _document(self, number: int, bounds: list[int], documents: Documents) -> tuple[int, int]:
        """The range of words, over all sentences in a row, that sentence `number` may see: those of its document."""
        first = last = number
        if self.context and documents is not None and documents[number] is not None:
            # A sentence has at least one word of one piece: farther ones would not fit.
            while first > max(0, number - self.context) and documents[first - 1] == documents[number]:
                first -= 1
            while last < min(len(documents) - 1, number + self.context) and documents[last + 1] == documents[number]:
                last += 1
        return bounds[first], bounds[last + 1]

    def _widen(self, lengths: NDArray[np.intp], places: tuple[int, int, int, int]) -> tuple[int, int]:
        """The window (start, end) with context on both sides in (low, high); unused capacity goes to the other side."""
        low, start, end, high = places
        if low == start and end == high:
            return start, end
        before, after = lengths[low:start][::-1].cumsum(), lengths[end:high].cumsum()
        spare = self.capacity - int(lengths[start:end].sum())
        on_left, on_right = (min(self.context, int(side[-1]) if len(side) else 0) for side in (before, after))
        on_left = min(on_left, max(spare // 2, spare - on_right))
        on_right = min(on_right, spare - on_left)
        left = start - int(np.searchsorted(before, on_left, side="right"))
        return left, end + int(np.searchsorted(after, on_right, side="right"))


def window_bounds(lengths: NDArray[np.intp], capacity: int, stride: int) -> list[tuple[int, int, range]]:
    """Windows over words of these many pieces, as (start, end, words owned).

    Each window holds at most `capacity` pieces (no word is longer) and owns at least one word. Neighbours share at
    least `stride` pieces, or as many as leave the window room to move on, and part the shared words in the middle.
    """
    if not len(lengths):
        return []
    ends = np.cumsum(lengths)
    if ends[-1] <= capacity:
        return [(0, len(lengths), range(len(lengths)))]
    bounds = []
    start = 0
    while True:
        done = ends[start - 1] if start else 0
        end = int(np.searchsorted(ends, done + capacity, side="right"))
        bounds.append((start, end))
        if end == len(lengths):
            break
        back = int(np.searchsorted(ends, ends[end - 1] - stride, side="right"))
        start = min(max(back, start + 1), end)
    borders = [0]
    for (_, end), (following, _) in pairwise(bounds):
        borders.append((following + end + 1) // 2)
    borders.append(len(lengths))
    owners = zip(bounds, borders, borders[1:], strict=False)
    # Next to a long word, a window may move so little that its neighbours show all its words with more context.
    return [(start, end, range(low, high)) for (start, end), low, high in owners if low < high]
