"""The head's bias by dev: what is fitted on some sentences must help on others."""

import numpy as np
import pytest
import torch

from fpplm_core.evaluation.metrics import micro_f1
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.spans import spans_from_tags
from fpplm_core.training.selection import FOLDS, Dev, DevResult, correct_bias
from fpplm_core.training.technique import Technique
from fpplm_core.training.techniques.label_lm.technique import LabelLm
from tests import tiny
from tests.tiny import LABELS, legal_labels, tagger

COUNT = len(LABELS)


def dev_of(shift: float, sentences: int = 60) -> tuple[Dev, DevResult]:
    """A dev split, and the logits of a tagger that gives all entities `shift` less than it should."""
    random = np.random.default_rng(1)
    tags = [legal_labels(random, int(random.integers(1, 9))) for _ in range(sentences)]
    dev = Dev([], [len(row) for row in tags], [spans_from_tags(row) for row in tags])
    penalty = np.array([0.0] + [shift] * (COUNT - 1))
    logits = [
        (
            4 * np.eye(COUNT)[[LABELS.index(tag) for tag in row]] + random.normal(size=(len(row), COUNT)) - penalty
        ).astype(np.float32)
        for row in tags
    ]
    decoder = SpanDecoder.of_labels(LABELS)
    return dev, DevResult(dev.f1(logits, decoder), logits, decoder)


def test_a_bias_that_helps_on_held_out_sentences_is_added(tiny_encoder):
    model, technique = tagger(tiny_encoder), tiny.technique(LabelLm, bias=1.0)
    dev, result = dev_of(shift=3.0)
    before = model.head.bias.detach().clone()
    corrected, taken = correct_bias(model, {"label_lm": technique}, dev, result)
    assert taken == {"label_lm": True} and corrected.f1 > result.f1
    added = model.head.bias.detach() - before
    assert added[1:].mean() > added[0]
    for old, new in zip(result.logits, corrected.logits, strict=True):
        assert np.allclose(new, old + added.numpy(), atol=1e-5)
    assert corrected.f1 == micro_f1(dev.spans, corrected.decoder.spans(corrected.logits))


class Fitted(Technique):
    """Proposes what helps where it has seen all sentences, and what hurts or does nothing where it has not."""

    def __init__(self, elsewhere: float, total: int) -> None:
        self.elsewhere, self.total, self.seen = elsewhere, total, []

    def label_bias(self, probabilities, labels):
        self.seen.append(len(labels))
        bias = torch.zeros(COUNT)
        bias[0] = -3.0 if len(labels) == self.total else self.elsewhere
        return bias


@pytest.mark.parametrize("elsewhere", [3.0, 0.0])
def test_a_bias_that_helps_only_where_it_was_fitted_is_refused(tiny_encoder, elsewhere):
    model = tagger(tiny_encoder)
    dev, result = dev_of(shift=3.0)
    technique = Fitted(elsewhere, sum(dev.lengths))
    before = model.head.bias.detach().clone()
    same, taken = correct_bias(model, {"own": technique}, dev, result)
    assert taken == {"own": False} and same is result and torch.equal(model.head.bias, before)
    held_out = [sum(dev.lengths[fold::FOLDS]) for fold in range(FOLDS)]
    assert technique.seen == [sum(dev.lengths), *(sum(dev.lengths) - words for words in held_out)]


@pytest.mark.parametrize("sentences", [1, 3])
def test_few_sentences_are_no_error(tiny_encoder, sentences):
    dev, result = dev_of(2.0, sentences)
    correct_bias(tagger(tiny_encoder), {"label_lm": tiny.technique(LabelLm)}, dev, result)
