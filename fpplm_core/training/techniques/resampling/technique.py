"""Proportional resampling: only some of the encoder's groups train, drawn for a number of steps by their gradients.

Each group (a block, or the embeddings) is drawn with a probability in proportion to a power of the running mean square
s_g of its gradient, its signal. Systematic sampling (Madow 1949) realises these probabilities exactly:

    π_g = min(1, c s_g^α), Σ π_g = max(1, blocks · groups)        rate_g ← rate_g · min(1 / π_g, MOST)

A group that is not drawn has no gradient: its weights and moments do not change, its dropout stays on, and the
backward pass ends at the lowest drawn group, as in LISA (2403.17919). Masking gradients instead (Child-Tuning,
2109.05687) saves nothing, and under Adam "masked" weights still move. The head and the techniques' modules always
train. The higher rate keeps the expected path nearer to that of dense training, as far as MOST allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fpplm_core.model.groups import Group
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.technique import Finding, StepContext, Technique
from fpplm_core.training.techniques.resampling.settings import ResamplingSettings

MEMORY = 50  # measurements over which a group's signal averages
MOST = 2.0  # largest factor of a drawn group's learning rate


class Resampling(ResamplingSettings, Technique):
    def modules(self, model: Tagger, pairs: Tensor) -> dict[str, nn.Module]:
        return {"signals": GroupSignals([group for group in model.groups() if group.depth])}

    def first(self, total: int) -> int:
        """The first step in which only a share of the groups trains; `total` if none."""
        return round(self.begin * total) if self.blocks < 1 else total

    def sampled_scales(self, groups: Sequence[Group], context: StepContext) -> dict[str, float]:
        since, signals = context.step - self.first(context.total), context.modules["signals"]
        candidates = [group.name for group in groups if group.name in signals.members]
        if since < 0 or not candidates:
            return {}
        if since % self.period == 0:
            chances = inclusion(signals.of(candidates), self.blocks, self.proportion)
            start = torch.rand((), generator=context.generator("draw", torch.device("cpu")), dtype=torch.float64)
            drawn = zip(candidates, chances.tolist(), draw(chances, start).tolist(), strict=True)
            signals.keep({name: min(1 / chance, MOST) for name, chance, taken in drawn if taken})
        scales = signals.kept_scales()
        return {name: scales.get(name, 0.0) for name in candidates}

    @torch.no_grad()
    def before_update(self, parameters: Mapping[str, nn.Parameter], context: StepContext) -> None:
        first = self.first(context.total)
        if first < context.total:
            gradients = {name: p.grad for name, p in parameters.items() if p.grad is not None}
            context.modules["signals"].measure(gradients, context.clip, count=context.step >= first)

    def phases(self, total: int) -> dict[str, tuple[float, float]]:
        return {"a share of the blocks trains": (self.begin, 1.0)} if self.first(total) < total else {}

    def findings(self, modules: Mapping[str, Any]) -> dict[str, Finding]:
        return modules["signals"].summary() if self.blocks < 1 else {}


class GroupSignals(nn.Module):
    """For the encoder's groups, from the top: signals, rate factors in this period, and how often each has trained."""

    signal: Tensor
    measured: Tensor
    scales: Tensor
    trained: Tensor
    totals: Tensor

    def __init__(self, groups: Sequence[Group]) -> None:
        super().__init__()
        self.members = {group.name: list(group.parameters) for group in groups}
        self.sizes = {name: p.numel() for group in groups for name, p in group.parameters.items()}
        self.current: dict[str, float] | None = None  # `scales` on the host
        for name in ("signal", "measured", "scales", "trained"):
            self.register_buffer(name, torch.zeros(len(groups), dtype=torch.float64))
        self.register_buffer("totals", torch.zeros(3, dtype=torch.float64))  # steps; shares of weights and of groups

    def of(self, names: Sequence[str]) -> Tensor:
        """The signals of these groups, on the CPU; a group that was never measured gets the mean of the others."""
        signal, measured = torch.stack([self.signal, self.measured]).cpu()
        known = signal[measured > 0]
        signal = torch.where(measured > 0, signal, known.mean() if len(known) else 1.0)
        return signal[[number for number, name in enumerate(self.members) if name in names]]

    def keep(self, scales: dict[str, float]) -> None:
        """Keeps the factors of the drawn groups for this period."""
        self.current = scales
        self.scales.copy_(torch.tensor([scales.get(name, 0.0) for name in self.members], dtype=torch.float64))

    def kept_scales(self) -> dict[str, float]:
        """The rate factors in this period; a group that was not drawn is missing or has 0.

        Reads the device only once, after a run was resumed.
        """
        if self.current is None:
            self.current = dict(zip(self.members, self.scales.tolist(), strict=True))
        return self.current

    def measure(self, gradients: Mapping[str, Tensor], clip: Tensor | float, count: bool) -> None:
        """Updates the signals of the groups that have gradients; with `count` also the counts of what has trained.

        `clip` is what clipping multiplied the gradients by. It depends on which groups were drawn, so it is undone.
        """
        own = {name: [gradients[n] for n in members if n in gradients] for name, members in self.members.items()}
        norms = {name: torch.stack(torch._foreach_norm(values)) for name, values in own.items() if values}
        if not norms:
            return
        zero = next(iter(norms.values())).new_zeros(())
        squares = [norms[name].square().sum() if name in norms else zero for name in self.members]
        present = torch.tensor([name in norms for name in self.members], dtype=torch.float64).to(self.signal.device)
        self.measured += present
        self.signal.lerp_((torch.stack(squares) / clip**2).double(), present / self.measured.clamp(1, MEMORY))
        if count:
            self.trained += present
            updated = sum(self.sizes[name] for name in self.sizes if name in gradients) / sum(self.sizes.values())
            reached = 1 + max(number for number, name in enumerate(self.members) if name in norms)
            totals = torch.tensor([1.0, updated, reached / len(self.members)], dtype=torch.float64)
            self.totals += totals.to(self.totals.device)

    def summary(self) -> dict[str, Finding]:
        steps, updated, reached = self.totals.tolist()
        steps = max(1.0, steps)
        return {
            "while only some blocks train: mean share of the encoder's weights updated": updated / steps,
            "while only some blocks train: mean share of the blocks in the backward pass": reached / steps,
            "while only some blocks train: share of steps that trained": {
                name: number / steps for name, number in zip(self.members, self.trained.tolist(), strict=True)
            },
        }


def inclusion(signal: Tensor, share: float, proportion: float) -> Tensor:
    """The probability that each group is drawn; their sum is share · n, but at least 1. *Shape:* (n,) to (n,)."""
    strength = signal.double().clamp(min=1e-30)
    strength = (strength / strength.max()) ** proportion
    size = max(1.0, share * len(signal))
    certain = torch.zeros(len(signal), dtype=torch.bool)
    while True:
        rest = strength.masked_fill(certain, 0.0)
        chances = (rest * ((size - int(certain.sum())) / rest.sum().clamp(min=1e-300))).masked_fill(certain, 1.0)
        above = chances > 1
        if not above.any():
            return chances
        certain |= above


def draw(chances: Tensor, start: Tensor) -> Tensor:
    """Systematic sampling: True with exactly these probabilities if `start` is uniform in [0, 1[. *Shape:* (n,), ()."""
    places = torch.cat([start.unsqueeze(0), chances.cumsum(0) + start]).floor()
    return places.diff() > 0
