"""The label language model as a second graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from fpplm_core.errors import ParamsError
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.technique import SecondGraph, Technique


def second_graph(model: Tagger, active: Mapping[str, Technique], weights: Path) -> SecondGraph:
    """The second graph that an active technique provides, with the techniques' trained weights.

    Raises ParamsError if no technique gives one.
    """
    uncounted = torch.zeros(2 * [len(model.blueprint.labels)])  # the loaded weights replace what starts from counts
    modules = nn.ModuleDict(
        {name: nn.ModuleDict(technique.modules(model, uncounted)) for name, technique in active.items()}
    )
    trained = safetensors.torch.load_file(weights)  # contains also the modules for unlabelled text
    modules.load_state_dict({name: trained[name] for name in modules.state_dict()})
    for name, technique in active.items():
        graph = technique.second_graph(dict(modules[name].named_children()))
        if graph is not None:
            return graph
    raise ParamsError(
        "no label language model was trained",
        where="export.refine_below",
        do="add label_lm to technique.active, or set it to 0",
    )
