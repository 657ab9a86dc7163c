"""What a client loses that sends zeros for token types: the bundle's test F1 with word shapes and without."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import machine
from fpplm.pipeline.paths import CORPUS
from fpplm_core.data.corpus import load_corpus
from fpplm_core.evaluation.metrics import micro_f1
from fpplm_core.serving import Predictor
from fpplm_core.serving.onnx_session import Session
from fpplm_core.tagging.batches import Arrays
from fpplm_core.tagging.spans import spans_from_tags


class Blind(Predictor):
    """A predictor whose graph gets token type 0 throughout, as from a client that knows nothing of shapes."""

    def _outputs(self, session: Session, arrays: Arrays, *names: str) -> list[NDArray[np.float32]]:
        return super()._outputs(session, arrays._replace(types=np.zeros_like(arrays.types)), *names)


def main() -> None:
    sentences = load_corpus("test", CORPUS)
    gold = [spans_from_tags(s.tags) for s in sentences]
    f1 = {}
    for name, kind in {"shapes": Predictor, "zeros": Blind}.items():
        tagged = kind.load("bundle", "cpu", "fp32").tag([s.words for s in sentences], [s.document for s in sentences])
        found = [[span for span, _ in row] for row in tagged]
        f1[name] = micro_f1(gold, found)
    print({name: round(value, 4) for name, value in f1.items()})
    machine.save("shapes.json", {"test_f1": f1})


if __name__ == "__main__":
    main()
