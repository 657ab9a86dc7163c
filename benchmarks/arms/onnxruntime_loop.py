"""A plain loop over ONNX Runtime: the float32 graph as it is, batches in the order of the texts, the best label."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

sys.path[0] = str(Path(__file__).parents[2])
from benchmarks.harness import arm, tagging

KEYS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


def prepare(task: dict[str, Any]) -> tuple[dict[str, arm.Job], dict[str, Any]]:
    """*task:* folder (with bundle and texts.json), device, sizes (batches to choose from)."""
    bundle = Path(task["folder"], "bundle")
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    tokenizer.enable_padding()
    provider = "CPUExecutionProvider" if task["device"] == "cpu" else "CUDAExecutionProvider"
    session = ort.InferenceSession(str(bundle / "onnx/model.onnx"), providers=[provider])
    arm.require_device(task["device"], session.get_providers()[0])
    names = [one.name for one in session.get_inputs()]

    def tag(texts: Sequence[str], size: int) -> list[Any]:
        """The pieces of each text that are not O."""
        found: list[Any] = []
        for start in range(0, len(texts), size):
            encoded = tokenizer.encode_batch(list(texts[start : start + size]))
            feeds = {name: np.array([getattr(one, KEYS[name]) for one in encoded]) for name in names}
            (logits,) = session.run(["logits"], feeds)
            inside = (logits.argmax(-1) > 0) & (feeds["attention_mask"] == 1)
            found += [np.flatnonzero(row) for row in inside]
        return found

    return tagging.jobs(tag, tagging.plain(task), task["sizes"])


if __name__ == "__main__":
    arm.serve(prepare, ["onnxruntime-gpu", "tokenizers"])
