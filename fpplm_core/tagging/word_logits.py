"""The logits of every word, from those of the windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import tee

import numpy as np
from numpy.typing import NDArray

from fpplm_core.tagging.batches import Arrays, by_length, collate
from fpplm_core.tagging.windows import Window
from fpplm_core.tracking import track


def batch_windows(windows: Sequence[Window], budget: int) -> list[list[Window]]:
    """The windows in batches of like length, of at most `budget` pieces."""
    return [[windows[row] for row in rows] for rows in by_length([len(window.ids) for window in windows], budget)]


def join_word_logits(
    batches: Iterable[Sequence[Window]], results: Iterable[NDArray[np.float32]], lengths: Sequence[int]
) -> list[NDArray[np.float32]]:
    """The logits of every word of every sentence, from the logits of batches of windows.

    *Shape:* `results` (batch, words, K) by batch; `lengths` the words of each sentence. Returns one (words, K)
    array a sentence.
    """
    found: list[NDArray[np.float32]] = [np.zeros((0, 0), dtype=np.float32)] * len(lengths)
    pairs = zip(batches, results, strict=True)
    for batch, logits in track(pairs, "words", sum(lengths), lambda pair: sum(len(w.owned_words) for w in pair[0])):
        for window, values in zip(batch, logits, strict=True):
            if not len(found[window.sentence]):
                shape = (lengths[window.sentence], values.shape[-1])
                found[window.sentence] = np.zeros(shape, dtype=np.float32)
            found[window.sentence][window.owned_words] = values[: len(window.owned_words)]
    return found


def word_logits(
    windows: Sequence[Window], lengths: Sequence[int], budget: int, run: Callable[[Arrays], NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """The logits of every word of every sentence; `run` turns a batch's arrays into (batch, words, K)."""
    rows = by_length([len(window.ids) for window in windows], budget)
    batches, inputs = tee([windows[row] for row in batch] for batch in rows)
    return join_word_logits(batches, (run(collate(batch)) for batch in inputs), lengths)
