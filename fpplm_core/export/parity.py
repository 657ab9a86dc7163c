"""How far an exported graph deviates from torch, and whether it may serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fpplm_core.data.records import Sentence
from fpplm_core.evaluation.metrics import SentenceCounts, bootstrap_f1, micro_f1, span_counts, sum_counts
from fpplm_core.evaluation.scores import CONFIDENCE, RESAMPLES, Logits, Spans, gold_spans
from fpplm_core.evaluation.significance import difference, mean_f1
from fpplm_core.export.settings import VerifySettings
from fpplm_core.export.verdicts import LabelLmTrial, ServedF1, VariantVerdict
from fpplm_core.serving import Predictor
from fpplm_core.serving.bundle import open_bundle
from fpplm_core.serving.onnx_session import is_available
from fpplm_core.tagging.decoder import SpanDecoder

BOUND = 0.95  # the confidence of the one-sided bound of a loss


@dataclass(frozen=True)
class TorchAnswer:
    """The sentences on which every graph is compared, torch's logits (words, K) for each of them, and the decoder.

    The sentences of dev come first. Document numbers count separately in each split.
    """

    dev: Sequence[Sentence]
    test: Sequence[Sentence]
    logits: Logits
    decoder: SpanDecoder

    @classmethod
    def of(
        cls, dev: Sequence[Sentence], test: Sequence[Sentence], logits: NDArray[np.float32], decoder: SpanDecoder
    ) -> TorchAnswer:
        """*Shape:* logits (words, K), of all sentences in one."""
        ends = np.cumsum([len(s.words) for s in chain(dev, test)])
        return cls(dev, test, np.split(logits, ends[:-1]), decoder)

    @cached_property
    def spans(self) -> Spans:
        return self.decoder.spans(self.logits)

    @cached_property
    def gold(self) -> Spans:
        return gold_spans([*self.dev, *self.test])

    def counts(self, spans: Spans) -> SentenceCounts:
        """How these spans agree with gold. *Shape:* (1, sentences, 3)."""
        return np.array([[span_counts(g, p) for g, p in zip(self.gold, spans, strict=True)]])


def verify_graphs(
    bundle: Path, torch: TorchAnswer, settings: VerifySettings, measure: Callable[[Predictor], object]
) -> dict[str, VariantVerdict]:
    """The verdict on every graph of a bundle, on each available device, by "VARIANT on DEVICE".

    `measure` is called with the loaded predictor of each.
    """
    offered = open_bundle(bundle).variants
    graphs = [(variant, device) for device in offered if is_available(device) for variant in offered[device]]
    verdicts = {}
    for number, (variant, device) in enumerate(graphs, start=1):
        print(f"verifying {variant} on {device} ({number} of {len(graphs)})", flush=True)
        predictor = Predictor.load(bundle, device, variant)
        logits = [row for split in (torch.dev, torch.test) for row in predictor.logits(*with_documents(split))]
        verdicts[f"{variant} on {device}"] = parity_verdict(variant, logits, torch, settings)
        measure(predictor)
    return verdicts


def parity_verdict(variant: str, logits: Logits, torch: TorchAnswer, settings: VerifySettings) -> VariantVerdict:
    """The float32 graph must give torch's spans; the dev F1 of another variant may be a little lower.

    Its loss must be small, and so must the bound of the loss (paired bootstrap over sentences): a small dev split shows
    a small loss of a bad graph by chance. *Shape:* logits (words, K) by sentence.
    """
    spans = torch.decoder.spans(logits)
    delta = max(float(np.abs(a - b).max()) for a, b in zip(logits, torch.logits, strict=True))
    changed = sum(a != b for a, b in zip(torch.spans, spans, strict=True))
    (dev, test), (exact_dev, exact_test) = (
        np.split(torch.counts(answer), [len(torch.dev)], axis=1) for answer in (spans, torch.spans)
    )
    loss = difference(exact_dev, dev, confidence=2 * BOUND - 1)  # a two-sided interval has the same upper end
    if variant == "fp32":
        accepted = delta <= settings.max_logit_delta and not changed
    else:
        accepted = loss.mean <= settings.max_f1_loss and loss.high <= settings.max_f1_bound
    return VariantVerdict(
        max_logit_delta=delta,
        sentences_with_other_spans=changed,
        dev_f1=mean_f1(dev),
        dev_f1_loss=loss.mean,
        dev_f1_loss_bound=loss.high,
        test_f1=mean_f1(test),
        test_f1_loss=mean_f1(exact_test) - mean_f1(test),
        accepted=accepted,
    )


def try_label_lm(predictor: Predictor, dev: Sequence[Sentence]) -> LabelLmTrial:
    """Scores a predictor without and with the label language model, and leaves it with the better one."""
    gold, scores = gold_spans(dev), []
    for predictor.use_label_lm in (False, True):
        scores.append(micro_f1(gold, tag(predictor, dev)))
    predictor.use_label_lm = scores[1] > scores[0]
    return LabelLmTrial(scores[0], scores[1], used=predictor.use_label_lm)


def served_f1(predictor: Predictor, test: Sequence[Sentence]) -> ServedF1:
    """The F1 of a predictor on test with its documents; also without, if the tagger has context and test marks any."""
    gold = gold_spans(test)
    counts = [span_counts(g, p) for g, p in zip(gold, tag(predictor, test), strict=True)]
    low, high = bootstrap_f1(counts, RESAMPLES, CONFIDENCE, seed=0)
    alone = None
    if predictor.bundle.config.context and any(s.document is not None for s in test):
        alone = micro_f1(gold, tag(predictor, [replace(s, document=None) for s in test]))
    return ServedF1(predictor.variant, sum_counts(counts).f1, low, high, alone)


def tag(predictor: Predictor, sentences: Sequence[Sentence]) -> Spans:
    return [[span for span, _ in row] for row in predictor.tag(*with_documents(sentences))]


def with_documents(sentences: Sequence[Sentence]) -> tuple[list[tuple[str, ...]], list[int | None]]:
    """The words and the document number of each sentence, as a predictor takes them."""
    return [s.words for s in sentences], [s.document for s in sentences]
