"""The share of pseudo-labels on which a technique agrees."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fpplm_core.training.running_mean import RunningMean


class AgreedShare(nn.Module):
    """The running share of the words in entities whose pseudo-label a technique trusts.

    Words with the pseudo-label O do not count, because on nearly all of them everyone agrees.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recent = RunningMean(2)  # words on which it agrees and all of them, in a batch

    def update(self, trusted: Tensor, labels: Tensor) -> None:
        """Updates the share. *Shape:* trusted (bool) and labels (batch, words)."""
        entities = labels > 0
        self.recent.update(torch.stack([(trusted & entities).sum(), entities.sum()]))

    def share(self) -> float:
        """The share; 0 if no word of an entity had a pseudo-label. Waits for the device."""
        agreed, words = self.recent.means()
        return float(agreed / words.clamp(min=1e-30))
