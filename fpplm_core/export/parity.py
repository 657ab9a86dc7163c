"""How far a graph is from torch, and whether it may serve."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fpplm.pipeline.paths import BUNDLE, CORPUS
from fpplm_core.data.corpus import load_corpus
from fpplm_core.evaluation.metrics import count, total
from fpplm_core.params import Params
from fpplm_core.serving import Predictor
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.spans import Span, spans_from_tags


def try_label_lm() -> dict[str, Any]:
    """Dev F1 of the bundle's preferred graph on the CPU, with and without the label language model."""
    sentences = load_corpus("dev", CORPUS)
    predictor = Predictor.load(BUNDLE, "cpu")
    scores = []
    for predictor.use_label_lm in (False, True):
        tagged = predictor.tag([s.words for s in sentences], [s.document for s in sentences])
        found = [[span for span, _ in row] for row in tagged]
        scores.append(total(count(spans_from_tags(s.tags), f) for s, f in zip(sentences, found, strict=True)).f1)
    print(f"label language model: dev F1 {scores[0]:.4f}, with it {scores[1]:.4f}")
    return {"dev_f1": scores[0], "dev_f1_refined": scores[1], "used": scores[1] > scores[0]}


def judge(
    logits: list[NDArray[np.float32]],
    reference: list[NDArray[np.float32]],
    wanted: list[list[Span]],
    gold: list[list[Span]],
    decoder: SpanDecoder,
) -> dict[str, Any]:
    """How far a graph is from torch: the largest logit difference, sentences with other spans, F1 and its loss."""
    found = decoder.spans(logits)
    scores = [total(count(g, p) for g, p in zip(gold, spans, strict=True)).f1 for spans in (wanted, found)]
    return {
        "max_logit_delta": max(float(np.abs(a - b).max()) for a, b in zip(logits, reference, strict=True)),
        "sentences_with_other_spans": sum(a != b for a, b in zip(wanted, found, strict=True)),
        "f1": scores[1],
        "f1_loss": scores[0] - scores[1],
    }


def accept(variant: str, verdict: dict[str, Any], settings: Params) -> dict[str, bool]:
    if variant == "fp32":
        near = verdict["max_logit_delta"] <= settings.verify.max_logit_delta
        return {"accepted": near and not verdict["sentences_with_other_spans"]}
    return {"accepted": verdict["f1_loss"] <= settings.verify.max_f1_loss}
