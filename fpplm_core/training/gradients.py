"""The gradients of a step: clips their norms, and measures the norm of each loss's gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fpplm_core.model import parallel
from fpplm_core.model.groups import Group

CLIP_NORM = 1.0  # largest gradient norm in a step, of the model and of the techniques' modules


def exchange_gradients(groups: Sequence[Group]) -> None:
    """Sums the encoder's gradients, of which each process has a part, over all processes, and averages the others."""
    for exchange, above in ((parallel.all_reduce_sum, False), (parallel.all_reduce_mean, True)):
        own = [p.grad for group in groups if (group.depth == 0) is above for p in group.parameters.values()]
        exchange([gradient for gradient in own if gradient is not None])


def clip_gradients(groups: Sequence[Group]) -> dict[str, Tensor]:
    """Clips the gradient norm of the model and that of the techniques' modules ("extras"), each to CLIP_NORM.

    With one norm for both, a large gradient of a technique would shrink the step of the model. Returns the norms before
    clipping, by name ("model", "extras"); a name without any gradient is missing.
    """
    owned: dict[str, list[nn.Parameter]] = {}
    for group in groups:
        own = [parameter for parameter in group.parameters.values() if parameter.grad is not None]
        owned.setdefault("extras" if group.name == "extras" else "model", []).extend(own)
    return {name: nn.utils.clip_grad_norm_(own, CLIP_NORM) for name, own in owned.items() if own}


def clip_factor(norm: Tensor) -> Tensor:
    """The factor by which `clip_gradients` multiplies gradients with this norm."""
    return (CLIP_NORM / (norm + 1e-6)).clamp(max=1.0)


def gradient_norms(losses: Mapping[str, Tensor], weights: Sequence[Tensor]) -> dict[str, Tensor]:
    """The norm of each loss's gradient with respect to these weights; 0 where the loss does not depend on them.

    It sets no `.grad`, and keeps the graph for the backward pass of the step.
    """
    norms = {}
    for name, loss in losses.items():
        found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True) if loss.requires_grad else ()
        gradients = [gradient for gradient in found if gradient is not None]
        parallel.all_reduce_sum(gradients)
        norms[name] = nn.utils.get_total_norm(gradients) if gradients else torch.zeros_like(loss.detach())
    return norms
