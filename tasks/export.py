"""export: the trained tagger as ONNX graphs, build/onnx; they are judged by the next stage."""

from __future__ import annotations

import logging
from typing import Any

import safetensors.torch
from torch import nn

from fpplm_core import exporting, params, techniques
from fpplm_core.contract import SecondGraph
from fpplm_core.errors import ParamsError
from fpplm_core.model import Tagger
from fpplm_core.serving.bundle import LABEL_LM, graph_name
from tasks import GRAPHS, MODEL, run, whole_folder
from tasks.trained import load_model


def main() -> None:
    settings = params.load()
    _, model = load_model(settings.model)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it would say that torchvision is not there
    with whole_folder(GRAPHS) as graphs:
        source = graphs / graph_name("fp32")
        refine = settings.export.refine_below > 0
        exporting.export_fp32(model, source, settings.export.opset, with_states=refine)
        if refine:
            exporting.export_second(second_graph(model, settings.technique), graphs / LABEL_LM, settings.export.opset)
        for variant in settings.export.variants:
            if variant in exporting.DERIVE:
                exporting.DERIVE[variant](source, graphs / graph_name(variant))
    for path in sorted(GRAPHS.glob("*.onnx")):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


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


if __name__ == "__main__":
    run(main)
