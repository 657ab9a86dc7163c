"""The best label path by the scores of labels and of their transitions (Viterbi), and probabilities; in numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fpplm_core.tagging.batches import by_length

AT_ONCE = 2**24  # scores of pairs of labels in one step of a batch: 64 MB
FORBIDDEN = -1e4  # finite, so that sums stay finite; far below any logit
LABEL_LM_TEMPERATURE = 2.0  # softens the tagger's predictions that the label language model reads


def viterbi(logits: NDArray[np.float32], lengths: NDArray[np.intp], scores: NDArray[np.float32]) -> NDArray[np.intp]:
    """The best-scoring label path of each sentence (Viterbi 1967; Forney 1973).

    *Shape:* logits (batch, words, K) with padding at the right, lengths (batch,) all at least 1,
    scores (K+1, K+1): added for each pair of neighbouring labels, row K the start and column K the end.
    Returns (batch, words) label indices; entries beyond a length are 0.
    """
    batch, words, count = logits.shape
    order = np.argsort(-lengths, kind="stable")  # so that the sentences still running at a step come first
    running = np.searchsorted(-lengths[order], -np.arange(words), side="left")
    emitted = np.ascontiguousarray(logits[order].transpose(1, 0, 2))
    into = np.ascontiguousarray(scores[:count, :count].T)  # (to, from): reductions over the last axis are fast
    best = emitted[0] + scores[count, :count]
    back = np.zeros((words, batch, count), dtype=np.int16)
    for step in range(1, words):
        n = running[step]
        candidates = best[:n, None, :] + into
        back[step, :n] = candidates.argmax(axis=2)
        ahead = candidates.max(axis=2) + emitted[step, :n]
        # Only differences count; float32 would lose them in the sum over a very long text.
        best[:n] = ahead - ahead.max(axis=1, keepdims=True)
    paths = np.zeros((words, batch), dtype=np.intp)
    label = (best + scores[:count, count]).argmax(axis=1)
    rows = np.arange(batch)
    for step in range(words - 1, -1, -1):
        n = running[step]
        paths[step, :n] = label[:n]
        if step:
            label[:n] = back[step, rows[:n], label[:n]]
    found = np.empty((batch, words), dtype=np.intp)
    found[order] = paths.T
    return found


def legality_scores(legal: NDArray[np.bool_]) -> NDArray[np.float32]:
    """0 for a legal pair, FORBIDDEN for the others. *Shape:* as `legal`, (K+1, K+1)."""
    return np.where(legal, 0.0, FORBIDDEN).astype(np.float32)


def shift_threshold(scores: NDArray[np.float32], f1: float, strength: float) -> NDArray[np.float32]:
    """The scores with a cost on every O, which moves the decision threshold to the one that maximises expected F1.

    The threshold that maximises accuracy is a probability of 1/2, the one that maximises F1 is F/2, where F is the
    best F1 that can be reached (Lipton et al. 2014, 1402.1892, theorem 1): log((2 − F) / F) lower in log-odds.
    Probabilities stay as they are.

    *Shape:* as `viterbi`, label 0 is O. `f1` in ]0, 1], `strength` the share of the shift, 0 for none.
    """
    shifted = scores.copy()
    shifted[:, 0] -= np.float32(strength * np.log((2 - f1) / f1))
    return shifted


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities over the last axis, same shape."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logarithms of the probabilities, finite where those are too small for float32."""
    return np.asarray(np.log(np.maximum(softmax(logits), np.finfo(np.float32).tiny)))


def decode(logits: Sequence[NDArray[np.float32]], scores: NDArray[np.float32]) -> list[NDArray[np.intp]]:
    """The best label path of each sentence; sentences of like length are decoded together."""
    found: list[NDArray[np.intp]] = [np.zeros(0, dtype=np.intp)] * len(logits)
    lengths = [len(values) for values in logits]
    most = max(1, AT_ONCE // (len(scores) - 1) ** 2)
    batches = (
        batch[start : start + most] for batch in by_length(lengths, 8192) for start in range(0, len(batch), most)
    )
    for batch in batches:
        longest = lengths[batch[0]]
        rows = [row for row in batch if lengths[row]]
        if not rows:
            continue
        padded = np.zeros((len(rows), longest, logits[rows[0]].shape[-1]), dtype=np.float32)
        for place, row in enumerate(rows):
            padded[place, : lengths[row]] = logits[row]
        paths = viterbi(padded, np.array([lengths[row] for row in rows], dtype=np.intp), scores)
        for place, row in enumerate(rows):
            found[row] = paths[place, : lengths[row]]
    return found
