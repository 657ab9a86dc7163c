"""Passes beside the step's own: without gradient, and with the averaged weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fpplm_core.model.mode import evaluating
from fpplm_core.model.tagger import Tagger


@contextmanager
def without_gradient(device: torch.device) -> Iterator[None]:
    """A pass beside the step's own: no gradient, and autocast's cache stays out of it.

    The cache would hand weights that were cast without a gradient to the pass that needs one, and the current weights
    to the pass with the averaged ones.
    """
    enabled = torch.is_autocast_enabled(device.type)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=enabled, cache_enabled=False):
        yield


@contextmanager
def averaged(
    average: Mapping[str, Tensor], model: Tagger, technique_modules: nn.ModuleDict | None = None
) -> Iterator[Tagger]:
    """Model and techniques' modules in evaluation mode with their averaged weights; restores everything afterwards."""
    current = dict(model.named_parameters())
    current |= dict(technique_modules.named_parameters(prefix="extras")) if technique_modules is not None else {}
    own = {name: current[name].data for name in average if name in current}
    for name in own:
        current[name].data = average[name]
    try:
        with evaluating(*(root for root in (model, technique_modules) if root is not None)):
            yield model
    finally:
        for name, data in own.items():
            current[name].data = data
