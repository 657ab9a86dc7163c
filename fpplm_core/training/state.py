"""The state of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fpplm_core.model.groups import Group
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.randomness import derive_seed, seeded
from fpplm_core.training.technique import Technique


@dataclass(frozen=True)
class LoopSettings:
    """The numbers of a run; fields as in the `train` section of params.yaml, `steps` in all."""

    seed: int
    steps: int
    lr: float
    head_lr: float
    layer_decay: float
    schedule: str
    warmup: float
    weight_decay: float
    ema: float
    bfloat16: bool = False

    @property
    def precision(self) -> str:
        """The number format of the passes, as params.yaml names it."""
        return "bfloat16" if self.bfloat16 else "float32"


@dataclass
class TrainingState:
    """All that a run changes: the model, the techniques' modules, the optimizer and the averaged weights.

    In the current step, `frozen` are the groups that a technique froze, and `closed` all groups without a gradient.
    """

    model: Tagger
    technique_modules: nn.ModuleDict
    groups: list[Group]
    optimizer: torch.optim.AdamW
    average: dict[str, Tensor]
    frozen: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def parameters(self) -> dict[str, nn.Parameter]:
        return {name: parameter for group in self.groups for name, parameter in group.parameters.items()}

    def modules(self, technique: str) -> dict[str, Any]:
        """The modules of a technique, by the names that it gave them."""
        return dict(self.technique_modules[technique].named_children())

    def tensors(self) -> dict[str, Tensor]:
        """The whole state as named tensors, for a checkpoint."""
        found = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        found |= {f"extras.{name}": tensor for name, tensor in self.technique_modules.state_dict().items()}
        found |= {f"average.{name}": tensor for name, tensor in self.average.items()}
        for name, parameter in self.parameters().items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                found[f"optimizer.{key}.{name}"] = value
        return found

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""

        def under(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        self.model.load_state_dict(under("model."))
        self.technique_modules.load_state_dict(under("extras."))
        for name, value in under("average.").items():
            self.average[name].copy_(value)
        parameters = self.parameters()
        for key in ("step", "exp_avg", "exp_avg_sq"):
            for name, value in under(f"optimizer.{key}.").items():
                parameter = parameters[name]
                self.optimizer.state[parameter][key] = value.to(parameter.device, copy=True)


def initial_state(
    model: Tagger,
    techniques: Mapping[str, Technique],
    settings: LoopSettings,
    pairs: Tensor | None = None,
    unlabelled: bool = False,
) -> TrainingState:
    """The state before the first step: the average equals the weights.

    `pairs` (K, K) says how often label b follows label a in the training split; None means zeros. `unlabelled` says
    whether steps also have unlabelled text.
    """
    device = next(model.parameters()).device
    technique_modules = nn.ModuleDict()
    rates: dict[nn.Parameter, float] = {}
    pairs = torch.zeros(2 * [len(model.blueprint.labels)]) if pairs is None else pairs
    for name, technique in techniques.items():
        with seeded(device, derive_seed(settings.seed, 0, f"modules/{name}")):
            modules = technique.modules(model, pairs) | (technique.unlabelled_modules(model) if unlabelled else {})
            own = nn.ModuleDict(modules).to(device)
        technique_modules[name] = own
        rates |= {p: rate for module, rate in technique.rates().items() for p in own[module].parameters()}
    groups = model.groups()
    if extras := dict(technique_modules.named_parameters(prefix="extras")):
        groups.append(Group("extras", 0, [technique_modules], extras))
    rows = []
    for group in groups:
        kinds: dict[tuple[float, float], list[nn.Parameter]] = {}
        for p in group.parameters.values():
            # At a higher rate of its own, a parameter would shrink that many times faster.
            decay = settings.weight_decay if p.ndim > 1 and p not in rates else 0.0
            kinds.setdefault((decay, rates.get(p, 1.0)), []).append(p)
        for (decay, rate), chosen in kinds.items():
            rows.append({"params": chosen, "weight_decay": decay, "group": group, "rate": rate, "lr": 0.0})
    optimizer = torch.optim.AdamW(rows, fused=True)
    model.train()
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    average |= {f"extras.{name}": p.detach().clone() for name, p in technique_modules.named_parameters()}
    return TrainingState(model, technique_modules, groups, optimizer, average)


@torch.no_grad()
def update_average(state: TrainingState, settings: LoopSettings, step: int) -> None:
    """Exponential moving average in float32 (2212.05956), with a shorter memory on the first steps."""
    decay = min(settings.ema, (1 + step) / (10 + step))
    current = state.parameters()
    averages = list(state.average.values())
    torch._foreach_lerp_(averages, [current[name] for name in state.average], 1.0 - decay)
