"""The gradients of a step: their norms are limited, and measured loss by loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fpplm_core.model import parallel
from fpplm_core.model.groups import Group

CLIP_NORM = 1.0  # largest gradient norm in a step, of the model and of the techniques' modules


def clip_gradients(groups: Sequence[Group]) -> dict[str, Tensor]:
    """Limits the norm of the model's gradient and that of the techniques' modules ("extras"), each to CLIP_NORM.

    One norm for both would let a technique's large gradient shrink the step of the model. Returns the norms before
    the limit, by name; without modules that have a gradient, "extras" is missing.
    """
    owned: dict[str, list[nn.Parameter]] = {}
    for group in groups:
        own = [parameter for parameter in group.parameters.values() if parameter.grad is not None]
        owned.setdefault("extras" if group.name == "extras" else "model", []).extend(own)
    return {name: nn.utils.clip_grad_norm_(own, CLIP_NORM) for name, own in owned.items() if own}


def gradient_norms(losses: Mapping[str, Tensor], weights: Sequence[Tensor]) -> dict[str, Tensor]:
    """The norm of each loss's gradient with respect to these weights; 0 where the loss does not depend on them.

    It leaves no gradient behind, and keeps the graph for the step's own backward pass.
    """
    norms = {}
    for name, loss in losses.items():
        found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True) if loss.requires_grad else ()
        gradients = [gradient for gradient in found if gradient is not None]
        parallel.all_reduce_sum(gradients)
        norms[name] = nn.utils.get_total_norm(gradients) if gradients else torch.zeros_like(loss.detach())
    return norms
