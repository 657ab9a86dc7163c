"""How far an exported graph is from torch, and whether it may serve."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpplm_core.data.records import Sentence
from fpplm_core.evaluation.metrics import micro_f1
from fpplm_core.evaluation.scores import Logits, Spans, gold_spans
from fpplm_core.export.settings import VerifySettings
from fpplm_core.serving import Predictor
from fpplm_core.tagging.decoder import SpanDecoder


@dataclass(frozen=True)
class VariantVerdict:
    """A graph against torch: its largest logit difference, F1 and what F1 lost, and whether it may serve."""

    max_logit_delta: float
    sentences_with_other_spans: int
    f1: float
    f1_loss: float
    accepted: bool


@dataclass(frozen=True)
class LabelLmTrial:
    """Dev F1 of the preferred graph without and with the label language model, which is used where it helps."""

    dev_f1: float
    dev_f1_refined: float
    used: bool


@dataclass(frozen=True)
class VerifyReport:
    """The verdicts by "VARIANT on DEVICE", the size of each graph, and the variants that the bundle leaves out."""

    variants: dict[str, VariantVerdict]
    bytes: dict[str, int]
    refused: list[str]


@dataclass(frozen=True)
class RefinedVerifyReport(VerifyReport):
    """The report of a bundle that carries the label language model."""

    label_lm: LabelLmTrial


@dataclass(frozen=True)
class TorchAnswer:
    """Torch's logits, (words, K) by sentence, its decoded spans, and the gold spans of the same sentences."""

    logits: Logits
    spans: Spans
    gold: Spans


def parity_verdict(
    variant: str, logits: Logits, torch: TorchAnswer, decoder: SpanDecoder, settings: VerifySettings
) -> VariantVerdict:
    """The float32 graph must give torch's spans; the F1 of another variant may be a little lower."""
    spans = decoder.spans(logits)
    delta = max(float(np.abs(a - b).max()) for a, b in zip(logits, torch.logits, strict=True))
    changed = sum(a != b for a, b in zip(torch.spans, spans, strict=True))
    f1 = micro_f1(torch.gold, spans)
    loss = micro_f1(torch.gold, torch.spans) - f1
    same = delta <= settings.max_logit_delta and not changed
    return VariantVerdict(delta, changed, f1, loss, same if variant == "fp32" else loss <= settings.max_f1_loss)


def kept_variants(made: Sequence[str], refused: Collection[str]) -> list[str]:
    """The variants that the bundle gets; mixed stands in for int8."""
    left_out = {*refused} if "int8" in refused else {*refused, "mixed"}
    return [variant for variant in made if variant not in left_out]


def try_label_lm(bundle: Path, dev: Sequence[Sentence]) -> LabelLmTrial:
    """Scores a bundle's preferred graph on the CPU without and with the label language model."""
    predictor = Predictor.load(bundle, "cpu")
    gold, scores = gold_spans(dev), []
    for predictor.refines in (False, True):
        tagged = predictor.tag([s.words for s in dev], [s.document for s in dev])
        scores.append(micro_f1(gold, [[span for span, _ in row] for row in tagged]))
    return LabelLmTrial(scores[0], scores[1], used=scores[1] > scores[0])
