"""From word logits to spans, in training, evaluation and serving.

Clients without fpplm have a decoder of their own in the graph (fpplm_core/export/portable.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fpplm_core.tagging.schemes import transitions
from fpplm_core.tagging.spans import Span, spans_from_tags
from fpplm_core.tagging.viterbi import decode, legality_scores, shift_threshold, softmax

Logits = Sequence[NDArray[np.float32]]  # one (words, K) array per sentence


@dataclass(frozen=True, eq=False)
class SpanDecoder:
    """The labels of a tagger, O first, and the transition scores of its decoder.

    *Shape:* `labels` K, `scores` (K+1, K+1) as `viterbi` takes them.
    """

    labels: Sequence[str]
    scores: NDArray[np.float32]

    @classmethod
    def of_labels(cls, labels: Sequence[str]) -> SpanDecoder:
        """The decoder that forbids illegal transitions and prefers none of the legal ones."""
        return cls(labels, legality_scores(transitions(labels)))

    def paths(self, logits: Logits) -> list[NDArray[np.intp]]:
        """The best label path of each sentence, one index per word."""
        return decode(logits, self.scores)

    def spans(self, logits: Logits) -> list[list[Span]]:
        """The spans over the words of each sentence."""
        return [self._spans_of(path) for path in self.paths(logits)]

    def scored_spans(self, logits: Logits) -> list[list[tuple[Span, float]]]:
        """The spans of each sentence with their scores: the mean probability of a span's labels, in [0, 1]."""
        tagged: list[list[tuple[Span, float]]] = []
        for values, path in zip(logits, self.paths(logits), strict=True):
            spans = self._spans_of(path)
            if spans:
                chosen = softmax(values)[np.arange(len(path)), path]
                tagged.append([(span, float(chosen[span.start : span.end].mean())) for span in spans])
            else:
                tagged.append([])
        return tagged

    def f1_shifted(self, f1: float, strength: float) -> SpanDecoder:
        """The decoder with the threshold that maximises expected F1, see `shift_threshold`."""
        return replace(self, scores=shift_threshold(self.scores, f1, strength))

    def _spans_of(self, path: NDArray[np.intp]) -> list[Span]:
        if not path.any():  # label 0 is O: most sentences have no entity
            return []
        return spans_from_tags([self.labels[label] for label in path])
