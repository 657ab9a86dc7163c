"""A plain loop over ONNX Runtime: the float32 graph as it is, batches in the order of the texts, the best label."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.arm import Job, fastest, load_texts, one_by_one, serve

KEYS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


def prepare(task: dict[str, Any]) -> tuple[dict[str, Job], dict[str, Any]]:
    """*task:* folder (with bundle and texts.json), device."""
    folder, texts = Path(task["folder"]), load_texts(Path(task["folder"]))
    tokenizer = Tokenizer.from_file(str(folder / "bundle" / "tokenizer.json"))
    tokenizer.enable_padding()
    provider = "CPUExecutionProvider" if task["device"] == "cpu" else "CUDAExecutionProvider"
    session = ort.InferenceSession(str(folder / "bundle" / "model.fp32.onnx"), providers=[provider])
    names = [one.name for one in session.get_inputs()]

    def tag(some: list[str], size: int) -> int:
        """The number of pieces that are not O."""
        found = 0
        for start in range(0, len(some), size):
            encoded = tokenizer.encode_batch(some[start : start + size])
            ids, mask, types = (
                np.array([getattr(e, key) for e in encoded]) for key in ("ids", "attention_mask", "type_ids")
            )
            feeds = dict(zip(("input_ids", "attention_mask", "token_type_ids"), (ids, mask, types), strict=True))
            (logits,) = session.run(["logits"], {name: feeds[name] for name in names})
            found += int((logits.argmax(-1)[mask == 1] > 0).sum())
        return found

    batch = fastest(lambda size: tag(texts[:100], size), task["batches"])
    jobs: dict[str, Job] = {
        "corpus": lambda: {"pieces_in_entities": tag(texts, batch)},
        "each": lambda: one_by_one(lambda text: tag([text], 1), texts[:100]),
    }
    return jobs, {"batch": batch}


if __name__ == "__main__":
    serve(prepare, ["onnxruntime-gpu", "tokenizers"])
