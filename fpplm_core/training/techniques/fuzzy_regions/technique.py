"""Breaking fuzzy regions: first only the head trains, then the encoder's groups are opened one after another.

Each group gets a warm-up of its own when it opens (the first Adam step of fresh weights is a full one). `open_by` is
short: long gradual unfreezing costs accuracy (T5, 1910.10683, section 3.5); a frozen start that tunes the head first
keeps the pretrained features (LP-FT, 2202.10054).

A region is fuzzy where its sensitivity is unsettled, variation over sensitivity (after SAGE, 2202.02664):

    I_g = mean |θ ∇L|    Î_g ← β Î_g + (1 − β) I_g    U_g = |I_g − Î_g|    F_g = EMA(U_g) / Î_g

order   top_down, or fuzziest first, as measured on the closed groups in the first steps
moment  by schedule, or earlier: once the open groups' median F falls below `settled`, the next one opens
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fpplm_core.model import parallel
from fpplm_core.model.groups import Group
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.batch import tag_loss
from fpplm_core.training.technique import Finding, StepContext, StepOutputs, Technique
from fpplm_core.training.techniques.fuzzy_regions.settings import FuzzyRegionsSettings

MEMORY = 0.95
CLOSED = -1


class FuzzyRegions(FuzzyRegionsSettings, Technique):
    def modules(self, model: Tagger, pairs: Tensor) -> dict[str, nn.Module]:
        return {"regions": FuzzyRegionState([group for group in model.groups() if group.depth])}

    def due(self, progress: float, count: int) -> int:
        """How many of `count` groups the schedule has opened at this progress."""
        if progress < self.frozen_until:
            return 0
        if progress >= self.open_by:
            return count
        return 1 + int((progress - self.frozen_until) / (self.open_by - self.frozen_until) * (count - 1))

    def lr_scale(self, group: Group, context: StepContext) -> float:
        regions: FuzzyRegionState = context.modules["regions"]
        if group.name not in regions.names:
            return 1.0
        regions.open(self.due(context.progress, len(regions.names)), context.step)
        opened = regions.opened_at()[group.name]
        if opened == CLOSED:
            return 0.0
        return min(1.0, (context.step - opened + 1) / max(1.0, self.warmup * context.total))

    def losses(self, step: StepOutputs, context: StepContext) -> dict[str, Tensor]:
        regions: FuzzyRegionState = context.modules["regions"]
        if self.order == "fuzziest" and context.step < self.probes and context.progress < self.frozen_until:
            regions.measure(probe(step, regions.members))
            regions.sort()
        return {}

    @torch.no_grad()
    def before_update(self, parameters: Mapping[str, nn.Parameter], context: StepContext) -> None:
        regions: FuzzyRegionState = context.modules["regions"]
        gradients = {name: p.grad for name, p in parameters.items() if p.grad is not None}
        regions.measure(sensitivities(parameters, gradients, regions.members))
        opened = regions.opened_at()
        scores = [regions.fuzziness()[name] for name, at in opened.items() if at != CLOSED and context.step - at > 10]
        if self.moment == "settled" and scores and sorted(scores)[len(scores) // 2] < self.settled:
            regions.open(sum(at != CLOSED for at in opened.values()) + 1, context.step + 1)

    def phases(self, total: int) -> dict[str, tuple[float, float]]:
        return {"encoder frozen": (0.0, self.frozen_until), "groups open one by one": (self.frozen_until, self.open_by)}

    def findings(self, modules: Mapping[str, Any]) -> dict[str, Finding]:
        """The coverage table: when each group opened, and how unsettled it was then and at the end."""
        regions: FuzzyRegionState = modules["regions"]
        opened, first, last = regions.opened_at(), regions.first.tolist(), regions.fuzziness()
        rows = zip(regions.names, opened.values(), first, last.values(), strict=True)
        names = ("group", "opened_at_step", "fuzziness_first", "fuzziness")
        return {"coverage": [dict(zip(names, row, strict=True)) for row in rows]}


class FuzzyRegionState(nn.Module):
    """The encoder's groups: when each opened, and its fuzziness so far."""

    opened: Tensor
    order: Tensor
    importance: Tensor
    variation: Tensor
    measured: Tensor
    first: Tensor

    def __init__(self, groups: list[Group]) -> None:
        super().__init__()
        self.names = [group.name for group in groups]
        self.members = {group.name: list(group.parameters) for group in groups}
        self.register_buffer("opened", torch.full((len(groups),), CLOSED))
        self.register_buffer("order", torch.arange(len(groups)))
        for name in ("importance", "variation", "measured", "first"):
            self.register_buffer(name, torch.zeros(len(groups), dtype=torch.float64))

    def opened_at(self) -> dict[str, int]:
        return dict(zip(self.names, self.opened.tolist(), strict=True))

    def open(self, number: int, step: int) -> None:
        """Opens groups in order until `number` of them are open."""
        for place in self.order[:number].tolist():
            if self.opened[place] == CLOSED:
                self.opened[place] = step

    def sort(self) -> None:
        """The fuzziest group first, among those that are still closed."""
        self.order.copy_(torch.argsort(self.variation / self.importance.clamp(min=1e-30), descending=True, stable=True))

    def measure(self, sensitivity: Mapping[str, Tensor]) -> None:
        """Updates the running figures with the sensitivities I_g of some groups."""
        for place, name in enumerate(self.names):
            if name in sensitivity:
                value = sensitivity[name].double()
                seen = self.measured[place].clone()
                memory = torch.where(seen == 0, torch.zeros_like(seen), (seen / (seen + 1)).clamp(max=MEMORY))
                self.importance[place] = memory * self.importance[place] + (1 - memory) * value
                spread = (value - self.importance[place]).abs()
                self.variation[place] = memory * self.variation[place] + (1 - memory) * spread
                self.measured[place] += 1
                if seen + 1 <= 10:
                    self.first[place] = self.variation[place] / self.importance[place].clamp(min=1e-30)

    def fuzziness(self) -> dict[str, float]:
        """F_g of each group; 0 where nothing was measured yet."""
        return dict(zip(self.names, (self.variation / self.importance.clamp(min=1e-30)).tolist(), strict=True))


def sensitivities(
    parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor], members: Mapping[str, list[str]]
) -> dict[str, Tensor]:
    """I_g = mean |θ ∇L| of the groups that have gradients."""
    found = {}
    for group, names in members.items():
        own = [name for name in names if name in gradients]
        if own:
            total = sum(torch.linalg.vector_norm(parameters[name] * gradients[name], ord=1) for name in own)
            found[group] = torch.as_tensor(total) / sum(parameters[name].numel() for name in own)
    return found


def probe(step: StepOutputs, members: Mapping[str, list[str]]) -> dict[str, Tensor]:
    """The sensitivities of closed groups on this batch, from a pass that leaves no gradient behind."""
    parameters = dict(step.model.named_parameters())
    closed = [name for names in members.values() for name in names if not parameters[name].requires_grad]
    for name in closed:
        parameters[name].requires_grad_(True)
    try:
        with torch.enable_grad():
            batch = step.batch
            hidden = step.model.first_piece_states(
                step.model.encode(batch.ids, batch.mask, batch.types), batch.first_pieces
            )
            loss = tag_loss(step.model.classify(hidden), batch.labels)
        values = torch.autograd.grad(loss, [parameters[name] for name in closed], allow_unused=True)
    finally:
        for name in closed:
            parameters[name].requires_grad_(False)
    gradients = {name: value for name, value in zip(closed, values, strict=True) if value is not None}
    parallel.all_reduce_sum(list(gradients.values()))
    with torch.no_grad():
        return sensitivities(parameters, gradients, members)
