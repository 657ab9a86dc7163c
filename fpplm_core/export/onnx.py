"""The tagger as ONNX: float32 straight from torch, from which float16 and int8 are derived.

The graph maps `input_ids`, `attention_mask` and, with word shapes, `token_type_ids` (batch, pieces) to float32
`logits` (batch, pieces, K); windows, first pieces and decoding stay outside.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import onnx
import onnxscript  # noqa: F401  torch.onnx exports through it: named here, its version is in the fingerprint
import torch
from torch import Tensor, nn

from fpplm_core.errors import EncoderError
from fpplm_core.model.mode import evaluating
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.technique import SecondGraph

INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # the last only if the tagger takes word shapes
OUTPUTS = ("logits", "states")
OPSET = 20  # runs on ONNX Runtime 1.17 and later; changing it changes the contract with serving


class WithStates(nn.Module):
    """A tagger that also gives the encoder's states, for a second graph to read."""

    def __init__(self, model: Tagger) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        states = self.model.encode(*inputs)
        return self.model.classify(states), states


def export_fp32(model: Tagger, path: Path, with_states: bool) -> None:
    """Writes the graph with free batch and sequence sizes; dropout is off, whatever mode the model is in.

    `with_states` names the encoder's states (batch, pieces, width) as a second output; no node is added for it.
    """
    device = next(model.parameters()).device
    ids, mask = torch.tensor([[1, 2, 3], [4, 5, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    # The types need a tensor of their own: one object passed twice would become one input.
    inputs = [ids, mask] if model.blueprint.first_shape is None else [ids, mask, torch.zeros_like(mask)]
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("pieces")}
    try:
        with evaluating(model):
            _export(
                WithStates(model) if with_states else model,
                tuple(tensor.to(device) for tensor in inputs),
                path,
                input_names=list(INPUTS[: len(inputs)]),
                output_names=list(OUTPUTS if with_states else OUTPUTS[:1]),
                dynamic_shapes=((sizes,) * len(inputs),) if with_states else (sizes,) * len(inputs),
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise EncoderError(
            "cannot be exported to ONNX",
            where="model.encoder",
            got=f"{type(model.encoder).__name__}: {type(error).__name__}",
            do="choose another encoder; torch names the operation with FPPLM_DEBUG=1",
        ) from error


def export_second(graph: SecondGraph, path: Path) -> None:
    """Writes a second graph with free batch and sequence sizes, from its named inputs to `written`."""
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("words")}
    _export(
        graph.module.eval().requires_grad_(False),
        tuple(graph.inputs.values()),
        path,
        input_names=list(graph.inputs),
        output_names=["written"],
        dynamic_shapes=(sizes,) * len(graph.inputs),
    )


def _export(module: nn.Module, inputs: tuple[Tensor, ...], path: Path, **options: Any) -> None:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(module, inputs, dynamo=True, verbose=False, opset_version=OPSET, **options)
    assert program is not None
    onnx.save(without_traces(program.model_proto), str(path))


def without_traces(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Drops the exporter's stack traces, whose paths differ between machines."""
    main = graph.graph
    for part in (graph, main, *main.node, *main.value_info, *main.input, *main.output, *main.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return graph
