"""The tensors of one step, and the loss of its tags."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORED = -100


class Batch(NamedTuple):
    """*Shape:* ids, mask, types (batch, pieces); first_pieces, word_mask, labels, second (batch, words).

    `labels` are IGNORED where there is no owned word, and in windows that only the second task has labels for;
    `second` has that task's, None without one.
    """

    ids: Tensor
    mask: Tensor
    types: Tensor
    first_pieces: Tensor
    word_mask: Tensor
    labels: Tensor
    second: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; from pinned memory to a GPU, so that the copy waits for nothing."""
        pinned = (t.pin_memory() if t is not None and device.type == "cuda" else t for t in self)
        return Batch._make(None if tensor is None else tensor.to(device, non_blocking=True) for tensor in pinned)


def tag_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labels that count. *Shape:* (batch, words, K), (batch, words)."""
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


def hide_words(batch: Batch, hidden: Tensor, mask_id: int) -> Tensor:
    """Ids with every piece of the hidden words replaced. *Shape:* hidden (batch, words) to (batch, pieces).

    The last word of a window is never hidden, because the batch does not say where it ends.
    """
    pieces = torch.arange(batch.ids.shape[1], device=batch.ids.device)
    starts = batch.first_pieces.masked_fill(batch.word_mask == 0, batch.ids.shape[1])
    word = (pieces.unsqueeze(1) >= starts.unsqueeze(1)).sum(2) - 1  # (batch, pieces): the word a piece belongs to
    last = batch.word_mask.sum(1, keepdim=True) - 1
    chosen = hidden.gather(1, word.clamp(min=0)) & (word >= 0) & (word < last)
    return batch.ids.masked_fill(chosen, mask_id)
