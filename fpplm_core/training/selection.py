"""Model selection: scores weights on dev, and chooses the decoder and the head's bias by dev."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fpplm_core.evaluation.metrics import micro_f1
from fpplm_core.model.tagger import Tagger, batch_logits, last_layer
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.schemes import INNER_SCHEME
from fpplm_core.tagging.spans import Span, tags_from_spans
from fpplm_core.tagging.viterbi import softmax
from fpplm_core.tagging.windows import Window
from fpplm_core.tagging.word_logits import word_logits
from fpplm_core.training.state import TrainingState
from fpplm_core.training.technique import Technique

if TYPE_CHECKING:
    from fpplm_core.training.settings import TrainSettings

FOLDS = 5  # of dev's sentences, for a label bias


class Dev(NamedTuple):
    """The dev split: its windows, its sentences' numbers of words, and their gold spans."""

    windows: Sequence[Window]
    lengths: list[int]
    spans: list[list[Span]]

    def labels(self, names: Sequence[str]) -> Tensor:
        """The number of each word's label; a label that is not in `names` counts as O. *Shape:* (words,)."""
        index = {name: number for number, name in enumerate(names)}
        rows = (tags_from_spans(spans, n, INNER_SCHEME) for spans, n in zip(self.spans, self.lengths, strict=True))
        return torch.tensor([index.get(tag, 0) for tags in rows for tag in tags])

    def f1(self, logits: Sequence[NDArray[np.float32]], decoder: SpanDecoder) -> float:
        """Micro F1 of the decoded spans. *Shape:* logits (words, K) by sentence."""
        return micro_f1(self.spans, decoder.spans(logits))


class DevResult(NamedTuple):
    """Dev's span F1, its logits (words, K) by sentence, and the decoder that serving uses with these weights."""

    f1: float
    logits: list[NDArray[np.float32]]
    decoder: SpanDecoder


def evaluate_on_dev(
    state: TrainingState, techniques: Mapping[str, Technique], dev: Dev, settings: TrainSettings, bfloat16: bool
) -> DevResult:
    """Dev under the model's weights as they are; a batch holds four times the pieces of a step."""
    runner = batch_logits(state.model, bfloat16)
    logits = word_logits(dev.windows, dev.lengths, 4 * settings.batch_pieces, runner)
    return decode_dev(state, techniques, dev, settings.f1_shift, logits)


def decode_dev(
    state: TrainingState,
    techniques: Mapping[str, Technique],
    dev: Dev,
    f1_shift: float,
    logits: list[NDArray[np.float32]],
) -> DevResult:
    """Dev's result with these logits (words, K) by sentence, and the transitions that the techniques learned."""
    decoder = SpanDecoder.of_labels(state.model.blueprint.labels)
    for name, technique in techniques.items():
        learned = technique.transitions(state.modules(name))
        if learned is not None:
            decoder.scores[:-1, :-1] += learned.cpu().numpy()
    f1 = dev.f1(logits, decoder)
    if f1 and f1_shift:
        decoder = decoder.f1_shifted(f1, f1_shift)
        f1 = dev.f1(logits, decoder)
    return DevResult(f1, logits, decoder)


@torch.no_grad()
def correct_bias(
    model: Tagger, techniques: Mapping[str, Technique], dev: Dev, result: DevResult
) -> tuple[DevResult, dict[str, bool]]:
    """Adds each label bias that a technique proposes to the head's bias, if it raises the cross-validated dev F1.

    In cross-validation, each fold of dev's sentences gets the bias fitted on the other folds; the bias that is added is
    fitted on all of dev. Returns the result on dev with the added biases, and for each technique whether its bias was
    added.
    """
    gold = dev.labels(model.blueprint.labels)
    folds = torch.from_numpy(np.repeat(np.arange(len(dev.lengths)) % FOLDS, dev.lengths))
    last = last_layer(model.head)

    def with_bias(bias: Tensor) -> DevResult:
        values = np.concatenate(result.logits) + bias.numpy()
        logits = np.split(values, np.cumsum(dev.lengths)[:-1])
        return result._replace(f1=dev.f1(logits, result.decoder), logits=logits)

    taken = {}
    for name, technique in techniques.items():
        probabilities = torch.from_numpy(softmax(np.concatenate(result.logits)))
        bias = technique.label_bias(probabilities, gold)
        if bias is not None:
            crossed = torch.zeros_like(probabilities)
            for fold in range(FOLDS):
                others = folds != fold
                fitted = technique.label_bias(probabilities[others], gold[others])
                crossed[~others] = bias if fitted is None else fitted
            taken[name] = with_bias(crossed).f1 > result.f1
            if taken[name]:
                result = with_bias(bias)
                last.bias.add_(bias.to(last.bias))
    return result, taken
