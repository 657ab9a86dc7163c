"""Runs the pipeline of transformers on a bundle that Optimum loads (see conformance.py); it finds the `entities`.

Optimum's ONNX package needs an older transformers than fpplm, so this runs in an environment of its own:
pip install torch optimum-onnx onnxruntime
"""

from __future__ import annotations

import sys
from pathlib import Path

from optimum.onnxruntime import ORTModelForTokenClassification
from transformers import AutoTokenizer, pipeline

from clients.conformance import Found, Rows, run


def tag(bundle: Path, rows: Rows) -> Found:
    model = ORTModelForTokenClassification.from_pretrained(bundle, subfolder="onnx", file_name="model.onnx")
    tokenizer = AutoTokenizer.from_pretrained(bundle)
    tagger = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple")
    return [[[one["start"], one["end"], one["entity_group"]] for one in tagger(row["text"])] for row in rows]


if __name__ == "__main__":
    sys.exit(run(tag, "entities"))
