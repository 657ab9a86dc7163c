"""The share of pseudo-labels on which a technique agrees."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AgreedShare(nn.Module):
    """The running share of the words in entities whose pseudo-label a technique trusts.

    Words with the pseudo-label O do not count, because on nearly all of them everyone agrees.
    """

    share: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("share", torch.ones(()))

    def update(self, trusted: Tensor, labels: Tensor) -> None:
        """Updates the share. *Shape:* trusted (bool) and labels (batch, words)."""
        entities = labels > 0
        agreed = (trusted & entities).sum() / entities.sum().clamp(min=1)
        self.share.lerp_(torch.where(entities.any(), agreed, self.share), 0.02)
