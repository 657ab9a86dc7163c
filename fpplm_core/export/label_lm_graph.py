"""The label language model as a second graph."""

from __future__ import annotations

from typing import Any

import safetensors.torch
from torch import nn

from fpplm.pipeline.paths import MODEL
from fpplm_core.errors import ParamsError
from fpplm_core.model.tagger import Tagger
from fpplm_core.training import techniques
from fpplm_core.training.technique import SecondGraph


def second_graph(model: Tagger, technique: dict[str, Any]) -> SecondGraph:
    """The graph that an active technique gives beside the tagger. Raises ParamsError where none does."""
    active = techniques.build(technique)
    extras = nn.ModuleDict({name: nn.ModuleDict(one.modules(model)) for name, one in active.items()})
    extras.load_state_dict(safetensors.torch.load_file(MODEL / "extras.safetensors"))
    for name, one in active.items():
        graph = one.second_graph(dict(extras[name].named_children()))
        if graph is not None:
            return graph
    raise ParamsError(
        "no label language model was trained",
        where="export.refine_below",
        do="add label_lm to technique.active, or set it to 0",
    )
