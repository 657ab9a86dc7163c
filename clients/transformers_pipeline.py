"""Runs transformers' own pipeline on a bundle (see conformance.py); it finds the `entities` of golden.json.

A bundle has no torch model; a model that runs the graph takes its place. The pipeline itself reads config.json and the
tokenizer, and joins pieces to entities.
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnxruntime
import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, TokenClassificationPipeline
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.utils import logging

from clients.conformance import Found, Rows, run


class OnnxTagger(PreTrainedModel):
    """The float32 graph of a bundle as a model of transformers."""

    device = torch.device("cpu")  # otherwise the device of the first weight, but there is no weight

    def __init__(self, bundle: Path) -> None:
        super().__init__(AutoConfig.from_pretrained(bundle))
        self.session = onnxruntime.InferenceSession(bundle / "onnx/model.onnx", providers=["CPUExecutionProvider"])
        self.inputs = [port.name for port in self.session.get_inputs()]

    def forward(self, **rows: torch.Tensor) -> TokenClassifierOutput:
        (logits,) = self.session.run(["logits"], {name: rows[name].numpy() for name in self.inputs})
        return TokenClassifierOutput(logits=torch.from_numpy(logits))


def tag(bundle: Path, rows: Rows) -> Found:
    logging.set_verbosity(logging.CRITICAL)  # it warns that it does not know the class OnnxTagger
    parts = {"model": OnnxTagger(bundle), "tokenizer": AutoTokenizer.from_pretrained(bundle)}
    pipeline = TokenClassificationPipeline(**parts, device="cpu", aggregation_strategy="simple")
    return [[[one["start"], one["end"], one["entity_group"]] for one in pipeline(row["text"])] for row in rows]


if __name__ == "__main__":
    sys.exit(run(tag, "entities"))
