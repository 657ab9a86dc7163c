"""export: the trained tagger as ONNX graphs, build/onnx; the next stage verifies them."""

from __future__ import annotations

import logging

from fpplm.pipeline import paths, stage
from fpplm.pipeline.trained import load_model
from fpplm_core.export.hub import write_encoder_files
from fpplm_core.export.label_lm_graph import second_graph
from fpplm_core.export.onnx import export_fp32, export_second
from fpplm_core.export.settings import ExportSettings
from fpplm_core.export.variants import DERIVE
from fpplm_core.files import whole_folder
from fpplm_core.model.blueprint import EXTRAS
from fpplm_core.model.settings import ModelSettings
from fpplm_core.serving.bundle import LABEL_LM, graph_name
from fpplm_core.training.settings import TechniqueSettings
from fpplm_core.training.technique import build


def export(model: ModelSettings, technique: TechniqueSettings, export: ExportSettings) -> None:
    _, tagger = load_model(model)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is missing
    derived = [variant for variant in export.variants if variant in DERIVE]
    with whole_folder(paths.GRAPHS) as graphs:
        source = graphs / graph_name("fp32")
        print(f"exporting fp32 (1 of {1 + len(derived)})", flush=True)
        refine = export.refine_below > 0
        export_fp32(tagger, source, with_states=refine)
        if refine:
            graph = second_graph(tagger, build(technique.blocks()), paths.MODEL / EXTRAS)
            export_second(graph, graphs / LABEL_LM)
        write_encoder_files(graphs, model)
        for number, variant in enumerate(derived, start=2):
            print(f"deriving {variant} ({number} of {1 + len(derived)})", flush=True)
            DERIVE[variant](source, graphs / graph_name(variant))
    for path in sorted(paths.GRAPHS.glob("*.onnx")):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    stage.run(export)
