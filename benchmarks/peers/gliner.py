"""GLiNER around the tagger's encoder: it reads the names of the types along with each text, and compares every span of
up to twelve words with each of them.

Not comparable: the layers above the encoder have GLiNER's default sizes and random weights, so what it finds means
nothing, only how fast. Where random scores pass for entities all over, the threshold is raised: a fact of the arm.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[2])  # instead of this folder, where a file is named as the library
from benchmarks.harness import arm, tagging

tagging.offline()
import torch
from gliner import GLiNER

TYPES = ["PER", "LOC", "ORG", "MISC"]
THRESHOLDS = (0.5, 0.7, 0.9, 0.99)


def prepare(task: dict[str, Any]) -> tuple[dict[str, arm.Job], dict[str, Any]]:
    torch.set_num_threads(tagging.THREADS)
    torch.manual_seed(0)
    model = GLiNER.from_config({"model_name": str(Path(task["folder"], "hf"))}, map_location=task["device"])
    texts = tagging.plain(task)

    def tag(texts: Any, size: int, threshold: float) -> Any:
        return model.inference(texts, TYPES, threshold=threshold, batch_size=size)

    few = texts[:20]
    sparse = (t for t in THRESHOLDS if sum(map(len, tag(few, 8, t))) <= 3 * len(few))
    threshold = next(sparse, THRESHOLDS[-1])
    jobs, facts = tagging.jobs(lambda texts, size: tag(texts, size, threshold), texts)
    return jobs, facts | {"threshold": threshold}


if __name__ == "__main__":
    arm.serve(prepare, ["gliner", "transformers", "tokenizers", "torch"])
