"""export: the trained tagger as ONNX graphs, build/onnx; they are judged by the next stage."""

from __future__ import annotations

import logging

from fpplm.pipeline.paths import GRAPHS
from fpplm.pipeline.stage import run
from fpplm.pipeline.trained import load_model
from fpplm_core.export.label_lm_graph import second_graph
from fpplm_core.export.onnx import export_fp32, export_second
from fpplm_core.export.variants import DERIVE
from fpplm_core.files import whole_folder
from fpplm_core.params import load
from fpplm_core.serving.bundle import LABEL_LM, graph_name


def main() -> None:
    settings = load()
    _, model = load_model(settings.model)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it would say that torchvision is not there
    with whole_folder(GRAPHS) as graphs:
        source = graphs / graph_name("fp32")
        refine = settings.export.refine_below > 0
        export_fp32(model, source, settings.export.opset, with_states=refine)
        if refine:
            export_second(second_graph(model, settings.technique), graphs / LABEL_LM, settings.export.opset)
        for variant in settings.export.variants:
            if variant in DERIVE:
                DERIVE[variant](source, graphs / graph_name(variant))
    for path in sorted(GRAPHS.glob("*.onnx")):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)
