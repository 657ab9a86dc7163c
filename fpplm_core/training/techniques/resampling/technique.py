"""Proportional resampling: in every step a random share of the weights is updated, drawn in proportion to their signal.

Rows of the encoder's matrices are drawn (probability-proportional sampling), and their AdamW step is scaled up by 1/π,
so that the expected path is the dense one; moments see every gradient. Masking gradients instead (Child-Tuning,
2109.05687) does neither under Adam: it shrinks the drift by √p, keeps the noise, and lets "masked" weights move.

    s_i ← .99 s_i + .01 ‖g_i‖²     π_i = clip(ρ s_i^α / mean(s^α), floor, 1)     W_i ← W_i + m_i Δ_i / π_i

The scale is capped at 2, which leaves a small bias below π = 1/2. Dense in the beginning and at the end. Vectors,
embeddings and heads are always updated.

The oscillation guard watches the top block: where successive updates point against each other for long (the running
mean of their cosine stays below −0.2 for `guard` steps), every rate is cut to 0.7 of what it was, down to a tenth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fpplm_core.model.groups import Group
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.technique import Finding, StepContext, Technique
from fpplm_core.training.techniques.resampling.settings import ResamplingSettings

MEMORY = 0.99
MOST = 2.0
AGAINST, CUT, LEAST = -0.2, 0.7, 0.1


class Resampling(ResamplingSettings, Technique):
    def modules(self, model: Tagger, pairs: Tensor) -> dict[str, nn.Module]:
        blocks = [group for group in model.groups() if group.name.startswith("block")]
        made: dict[str, nn.Module] = {
            "rows": RowSignals({name: p for group in blocks for name, p in group.parameters.items() if p.ndim == 2})
        }
        if self.guard:
            made["guard"] = OscillationGuard(blocks[0].parameters)
        return made

    def lr_scale(self, group: Group, context: StepContext) -> float:
        return float(context.modules["guard"].factor) if self.guard else 1.0

    def sampled(self, context: StepContext) -> bool:
        return self.share < 1 and self.dense_until <= context.progress < self.dense_from

    @torch.no_grad()
    def before_update(self, parameters: Mapping[str, nn.Parameter], context: StepContext) -> None:
        if self.guard:
            context.modules["guard"].remember(parameters)
        rows: RowSignals = context.modules["rows"]
        for name, signal in rows.signals().items():
            gradient = parameters[name].grad
            if gradient is not None:
                signal.lerp_(torch.linalg.vector_norm(gradient, dim=1).square_(), 1 - MEMORY)
                if self.sampled(context):
                    rows.remember(name, parameters[name])

    @torch.no_grad()
    def after_update(self, parameters: Mapping[str, nn.Parameter], context: StepContext) -> None:
        rows: RowSignals = context.modules["rows"]
        for name in rows.drawn:
            chances = inclusion(rows.signals()[name], self.share, self.proportion, self.floor)
            drawn = torch.rand(chances.shape, generator=context.generator(name, chances.device), device=chances.device)
            factor = ((drawn < chances) * (1 / chances).clamp(max=MOST)).unsqueeze(1)
            weight = parameters[name].data
            torch.lerp(rows.before[name], weight, factor, out=weight)  # exact at 0 and at 1
            rows.updated += (factor > 0).double().mean()
            rows.steps += 1
        rows.drawn.clear()
        if self.guard:
            context.modules["guard"].cut_rate_if_oscillating(parameters, self.guard)

    def phases(self, total: int) -> dict[str, tuple[float, float]]:
        if self.share == 1 or self.dense_until >= self.dense_from:
            return {}
        return {"a share of the rows is updated": (self.dense_until, self.dense_from)}

    def findings(self, modules: Mapping[str, Any]) -> dict[str, Finding]:
        rows: RowSignals = modules["rows"]
        found: dict[str, Finding] = {"mean share of rows updated": float(rows.updated / rows.steps.clamp(min=1))}
        if "guard" in modules:
            found["learning rate after the oscillation guard"] = float(modules["guard"].factor)
        return found


class RowSignals(nn.Module):
    """The running signal ‖g_i‖² of every row of these matrices."""

    updated: Tensor
    steps: Tensor

    def __init__(self, matrices: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self.names = list(matrices)
        self.before: dict[str, Tensor] = {}  # made once: new memory in every step costs as much as the update
        self.drawn: list[str] = []  # between the two hooks of one step
        for index, matrix in enumerate(matrices.values()):
            self.register_buffer(f"s{index}", torch.zeros(len(matrix)))
        self.register_buffer("updated", torch.zeros((), dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def remember(self, name: str, matrix: nn.Parameter) -> None:
        if name in self.before:
            self.before[name].copy_(matrix)
        else:
            self.before[name] = matrix.detach().clone()
        self.drawn.append(name)

    def signals(self) -> dict[str, Tensor]:
        return {name: self.get_buffer(f"s{index}") for index, name in enumerate(self.names)}


class OscillationGuard(nn.Module):
    """The last update of these parameters, the running cosine between updates, and the factor of the rates."""

    last: Tensor
    cosine: Tensor
    against: Tensor
    factor: Tensor

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self.names = list(parameters)
        self.before = torch.empty(0)  # between the two hooks of one step
        self.register_buffer("last", torch.zeros(sum(p.numel() for p in parameters.values())))
        self.register_buffer("cosine", torch.zeros(()))
        self.register_buffer("against", torch.zeros((), dtype=torch.int64))
        self.register_buffer("factor", torch.ones(()))

    def remember(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.before = torch.cat([parameters[name].detach().flatten() for name in self.names])

    def cut_rate_if_oscillating(self, parameters: Mapping[str, nn.Parameter], patience: int) -> None:
        """Cuts the factor after `patience` updates that point against their predecessors."""
        update = torch.cat([parameters[name].detach().flatten() for name in self.names]) - self.before
        self.cosine.lerp_(torch.cosine_similarity(update, self.last, dim=0), 0.1)
        self.last.copy_(update)
        self.against.copy_(torch.where(self.cosine < AGAINST, self.against + 1, 0))
        cut = self.against >= patience
        self.factor.copy_(torch.where(cut, (self.factor * CUT).clamp(min=LEAST), self.factor))
        self.against.copy_(torch.where(cut, 0, self.against))


def inclusion(signal: Tensor, share: float, proportion: float, floor: float) -> Tensor:
    """The probability of each row to be updated, in [floor, 1]; a matrix without any signal has `share` throughout."""
    strength = signal.double().clamp(min=1e-30) ** proportion  # in float32 its square would be 0
    return (share * strength / strength.mean()).clamp(floor, 1.0).to(signal.dtype)
