"""Breaking fuzzy regions: first everything but the encoder trains, then the encoder's groups open one by one.

The frozen phase trains the head on the states of the frozen encoder until dev F1 stops rising, which preserves the
pretrained features (linear probing before fine-tuning, 2202.10054). Then the groups (blocks and embeddings) open, each
with a warm-up of its own, because the first Adam step of a group is a full one. `open_by` is early: gradual unfreezing
over a long time costs accuracy (T5, 1910.10683, section 3.5).

A group is fuzzy if its sensitivity fluctuates: variation over sensitivity (after SAGE, 2202.02664):

    I_g = mean |θ ∇L|    U_g = |I_g − Î_g|    Î_g ← β Î_g + (1 − β) I_g    F_g = EMA(U_g) / Î_g

order   top_down, or fuzziest first, as measured on the closed groups in the first steps
moment  schedule, or settled: the next group opens once the median F of the open ones is below `settled`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from fpplm_core.model import parallel
from fpplm_core.model.groups import Group
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.batch import tag_loss
from fpplm_core.training.technique import Finding, StepContext, StepOutputs, Technique
from fpplm_core.training.techniques.fuzzy_regions.settings import FuzzyRegionsSettings

MEASURE_EVERY = 5  # steps
MEMORY = 0.9  # β, in measurements
FIRST = 3  # measurements of a group that make its first fuzziness
PROBES = 8  # first steps, in which the closed groups are measured
SETTLING = 10  # steps after a group has opened before the next one may open (moment: settled)
CLOSED = -1


class FuzzyRegions(FuzzyRegionsSettings, Technique):
    def frozen_phase(self) -> int:
        return self.frozen_steps

    def modules(self, model: Tagger, pairs: Tensor) -> dict[str, nn.Module]:
        return {"regions": FuzzyRegionState([group for group in model.groups() if group.depth])}

    def due(self, context: StepContext, count: int) -> int:
        """How many of `count` groups must be open now; all from `open_by` on, whatever `moment` is."""
        if context.progress >= self.open_by:
            return count
        if self.order == "fuzziest" and context.step < PROBES:
            return 0
        return 1 if self.moment == "settled" else 1 + int(context.progress / self.open_by * (count - 1))

    def lr_scale(self, group: Group, context: StepContext) -> float:
        regions: FuzzyRegionState = context.modules["regions"]
        if group.name not in regions.names:
            return 1.0
        regions.open(self.due(context, len(regions.names)), context.step)
        opened = regions.opened[regions.names.index(group.name)]
        if opened == CLOSED:
            return 0.0
        return min(1.0, (context.step - opened + 1) / max(1.0, self.warmup * context.total))

    def losses(self, step: StepOutputs, context: StepContext) -> dict[str, Tensor]:
        regions: FuzzyRegionState = context.modules["regions"]
        if context.in_frozen_phase:
            return {}
        if not self.due(context, len(regions.names)):
            regions.measure(probe(step, regions.members))
            regions.sort()
        elif context.step and not self.due(replace(context, step=context.step - 1), len(regions.names)):
            regions.forget()
        return {}

    @torch.no_grad()
    def before_update(self, parameters: Mapping[str, nn.Parameter], context: StepContext) -> None:
        if (context.step + 1) % MEASURE_EVERY:
            return
        regions: FuzzyRegionState = context.modules["regions"]
        gradients = {name: p.grad for name, p in parameters.items() if p.grad is not None}
        regions.measure(sensitivities(parameters, gradients, regions.members) / context.clip)
        opened = [at for at in regions.opened if at != CLOSED]
        waiting = self.moment == "settled" and 0 < len(opened) < len(regions.names)
        if waiting and context.step - max(opened) >= SETTLING:
            scores = [f for f, at in zip(regions.fuzziness(), regions.opened, strict=True) if at != CLOSED]
            if sorted(scores)[len(scores) // 2] < self.settled:
                regions.open(len(opened) + 1, context.step + 1)

    def phases(self, total: int) -> dict[str, tuple[float, float]]:
        return {"groups open one by one": (0.0, self.open_by)}

    def findings(self, modules: Mapping[str, Any]) -> dict[str, Finding]:
        """A row for each group: when it opened, and its fuzziness in the first measurements and at the end."""
        regions: FuzzyRegionState = modules["regions"]
        rows = zip(regions.names, regions.opened, regions.first.tolist(), regions.fuzziness(), strict=True)
        names = ("group", "opened_at_step", "fuzziness_first", "fuzziness")
        return {"coverage": [dict(zip(names, row, strict=True)) for row in rows]}


class FuzzyRegionState(nn.Module):
    """For the encoder's groups: the step at which each opened, the order of opening, and running statistics.

    The statistics are vectors over all groups on the device, so that measuring does not wait. What decides which groups
    are open is on the host.
    """

    importance: Tensor
    variation: Tensor
    measured: Tensor
    first: Tensor

    def __init__(self, groups: Sequence[Group]) -> None:
        super().__init__()
        self.names = [group.name for group in groups]
        self.members = [list(group.parameters) for group in groups]
        self.opened = [CLOSED] * len(groups)
        self.order = list(range(len(groups)))
        for name in ("importance", "variation", "measured", "first"):
            self.register_buffer(name, torch.zeros(len(groups), dtype=torch.float64))

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.opened, self.order])

    def set_extra_state(self, state: Tensor) -> None:
        self.opened, self.order = state.tolist()

    def open(self, number: int, step: int) -> None:
        """Opens groups in order until `number` of them are open."""
        for place in self.order[:number]:
            if self.opened[place] == CLOSED:
                self.opened[place] = step

    def sort(self) -> None:
        """Puts the fuzziest group first; call it only while all groups are closed."""
        scores = self.fuzziness()
        self.order = sorted(self.order, key=lambda place: (-scores[place], place))

    def forget(self) -> None:
        """Sets the statistics back: those of the probes are of the label loss alone."""
        for statistic in (self.importance, self.variation, self.measured, self.first):
            statistic.zero_()

    def measure(self, sensitivity: Tensor) -> None:
        """Updates the statistics. *Shape:* sensitivity (groups,), NaN for a group that was not measured."""
        value = sensitivity.double()
        seen = ~value.isnan()
        spread = (value - self.importance).abs()  # the first measurement has none
        for mean, latest, before in (
            (self.variation, spread, self.measured - 1),
            (self.importance, value, self.measured),
        ):
            share = 1 / (before + 1).clamp(min=1, max=1 / (1 - MEMORY))  # a plain mean at first
            mean.copy_(mean.lerp(latest, share).where(seen & (before >= 0), mean))
        self.measured += seen
        self.first.copy_(self._ratio().where(self.measured <= FIRST, self.first))

    def fuzziness(self) -> list[float]:
        """F_g of each group; 0 before it has been measured twice. Waits for the device."""
        found: list[float] = self._ratio().tolist()
        return found

    def _ratio(self) -> Tensor:
        return self.variation / self.importance.clamp(min=1e-30)


def sensitivities(
    parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor], members: Sequence[Sequence[str]]
) -> Tensor:
    """I_g = mean |θ ∇L| of each group over its weights that have a gradient; NaN where none has. *Shape:* (groups,)."""
    found = []
    for names in members:
        own = [name for name in names if name in gradients]
        if own:
            products = torch._foreach_mul([parameters[n] for n in own], [gradients[n] for n in own])
            total = torch.stack(torch._foreach_norm(products, 1)).sum()
            found.append(total / sum(product.numel() for product in products))
        else:
            found.append(torch.full((), torch.nan, device=parameters[names[0]].device))
    return torch.stack(found)


def probe(step: StepOutputs, members: Sequence[Sequence[str]]) -> Tensor:
    """The sensitivities of the closed groups on this batch, from a pass that leaves no gradient behind."""
    parameters = dict(step.model.named_parameters())
    closed = [name for names in members for name in names if not parameters[name].requires_grad]
    for name in closed:
        parameters[name].requires_grad_(True)
    try:
        with torch.enable_grad():
            batch = step.batch
            hidden = step.model.words(batch.ids, batch.mask, batch.types, batch.first_pieces)
            loss = tag_loss(step.model.classify(hidden), batch.labels)
        values = torch.autograd.grad(loss, [parameters[name] for name in closed], allow_unused=True)
    finally:
        for name in closed:
            parameters[name].requires_grad_(False)
    gradients = {name: value for name, value in zip(closed, values, strict=True) if value is not None}
    parallel.all_reduce_sum(list(gradients.values()))
    with torch.no_grad():
        return sensitivities(parameters, gradients, members)
