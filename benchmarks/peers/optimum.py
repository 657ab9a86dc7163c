"""optimum-onnx's token-classification pipeline: the tagger, exported to ONNX in float32, run by ONNX Runtime.

Encoder and head are the tagger's own; the texts are plain and come in the order given; out come entities with label,
score and offsets. Not comparable: the decoding is greedy, and `aggregation_strategy="simple"` joins pieces, not words,
by the prefixes B and I alone (S-PER and E-PER are types of their own), so it finds more entities than there are.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[2])  # instead of this folder, where a file is named as the library
from benchmarks.harness import arm, tagging

tagging.offline()
import onnxruntime
import torch
from optimum.onnxruntime import ORTModelForTokenClassification
from optimum.onnxruntime.pipelines import pipeline
from transformers import AutoTokenizer


def prepare(task: dict[str, Any]) -> tuple[dict[str, arm.Job], dict[str, Any]]:
    torch.set_num_threads(tagging.THREADS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = tagging.THREADS
    folder = Path(task["folder"], "hf")
    model = ORTModelForTokenClassification.from_pretrained(
        folder,
        export=True,
        provider="CUDAExecutionProvider" if task["device"] == "cuda" else "CPUExecutionProvider",
        session_options=options,
    )
    arm.require_device(task["device"], model.providers[0])
    tagger = pipeline(
        "token-classification",
        model=model,
        tokenizer=AutoTokenizer.from_pretrained(folder),
        aggregation_strategy="simple",
        device=task["device"],
    )
    jobs, facts = tagging.jobs(lambda texts, size: tagger(texts, batch_size=size), tagging.plain(task))
    return jobs, facts | {"onnxruntime": onnxruntime.__version__}


if __name__ == "__main__":
    arm.serve(prepare, ["optimum-onnx", "optimum", "transformers", "tokenizers", "torch"])
