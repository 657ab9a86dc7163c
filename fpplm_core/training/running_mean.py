"""A running mean that is exact from its first update."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SHARE = 0.02  # of the latest update


class RunningMean(nn.Module):
    """Exponential moving averages of a few numbers, and of 1, by which they are divided, as in Adam (1412.6980)."""

    averages: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("averages", torch.zeros(count + 1))

    @torch.no_grad()
    def update(self, values: Tensor) -> None:
        """*Shape:* (count,)."""
        self.averages.lerp_(torch.cat([values.to(self.averages), self.averages.new_ones(1)]), SHARE)

    def means(self) -> Tensor:
        """The means; 0 before the first update. *Shape:* (count,)."""
        return self.averages[:-1] / self.averages[-1].clamp(min=SHARE)
