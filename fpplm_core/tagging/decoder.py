"""The decoder: word logits to spans."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpplm_core.tagging.spans import Span, lenient_spans
from fpplm_core.tagging.viterbi import decode


class Decoder(NamedTuple):
    """Labels, and transition scores (K+1, K+1)."""

    labels: list[str]
    scores: NDArray[np.float32]

    def spans(self, logits: list[NDArray[np.float32]]) -> list[list[Span]]:
        return [lenient_spans([self.labels[label] for label in path]) for path in decode(logits, self.scores)]
