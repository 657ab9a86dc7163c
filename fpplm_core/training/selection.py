"""Model selection: how good weights are on dev, and what of the decoder and the head's bias dev decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fpplm_core.evaluation.metrics import micro_f1
from fpplm_core.model.tagger import Tagger, batch_logits
from fpplm_core.tagging.schemes import INNER_SCHEME, transitions
from fpplm_core.tagging.spans import Span, spans_from_tags, tags_from_spans
from fpplm_core.tagging.viterbi import decode, legality_scores, shift_threshold, softmax
from fpplm_core.tagging.windows import Window
from fpplm_core.tagging.word_logits import word_logits
from fpplm_core.training.state import TrainingState
from fpplm_core.training.technique import Technique


class Dev(NamedTuple):
    """The dev split: its windows, its sentences' numbers of words, and their gold spans."""

    windows: list[Window]
    lengths: list[int]
    spans: list[list[Span]]

    def f1(self, logits: Sequence[NDArray[np.float32]], scores: NDArray[np.float32], labels: Sequence[str]) -> float:
        """Micro F1 of the decoded spans. *Shape:* logits (words, K) by sentence, scores (K+1, K+1)."""
        found = [spans_from_tags([labels[label] for label in path]) for path in decode(logits, scores)]
        return micro_f1(self.spans, found)


class DevResult(NamedTuple):
    """Dev's span F1, its logits (words, K) by sentence, and the transition scores (K+1, K+1) of the decoder."""

    f1: float
    logits: list[NDArray[np.float32]]
    scores: NDArray[np.float32]


def evaluate_on_dev(
    state: TrainingState, active: Mapping[str, Technique], dev: Dev, budget: int, f1_shift: float, bfloat16: bool
) -> DevResult:
    """Dev under the model's weights as they are, and the decoder that serving uses.

    `budget` is the most pieces in a batch, padding included; `f1_shift` as in params.yaml.
    """
    labels = state.model.blueprint.labels
    logits = word_logits(dev.windows, dev.lengths, budget, batch_logits(state.model, bfloat16))
    scores = legality_scores(transitions(labels))
    for name, technique in active.items():
        learned = technique.transitions(state.modules(name))
        if learned is not None:
            scores[:-1, :-1] += learned.cpu().numpy()
    f1 = dev.f1(logits, scores, labels)
    if f1 and f1_shift:
        scores = shift_threshold(scores, f1, f1_shift)
        f1 = dev.f1(logits, scores, labels)
    return DevResult(f1, logits, scores)


@torch.no_grad()
def correct_bias(
    model: Tagger, active: Mapping[str, Technique], dev: Dev, outcome: DevResult
) -> tuple[DevResult, dict[str, bool]]:
    """Adds the label biases that techniques propose to the head, each where it does not lower dev F1."""
    labels = model.blueprint.labels
    index = {label: number for number, label in enumerate(labels)}
    rows = [tags_from_spans(spans, n, INNER_SCHEME) for spans, n in zip(dev.spans, dev.lengths, strict=True)]
    gold = [index.get(tag, 0) for tags in rows for tag in tags]
    last = [layer for layer in model.head.modules() if isinstance(layer, torch.nn.Linear)][-1]
    taken = {}
    for name, technique in active.items():
        seen = torch.from_numpy(softmax(np.concatenate(outcome.logits)))
        bias = technique.label_bias(seen, torch.tensor(gold))
        if bias is not None:
            shifted = [values + bias.numpy() for values in outcome.logits]
            score = dev.f1(shifted, outcome.scores, labels)
            taken[name] = score >= outcome.f1
            if taken[name]:
                outcome = DevResult(score, shifted, outcome.scores)
                last.bias.add_(bias.to(last.bias))
    return outcome, taken
