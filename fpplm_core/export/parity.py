"""How far an exported graph deviates from torch, and whether it may serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fpplm_core.data.corpus import CorpusParts
from fpplm_core.data.records import Sentence
from fpplm_core.errors import BundleError, DeviceError, FpplmError
from fpplm_core.evaluation.differences import f1_difference
from fpplm_core.evaluation.metrics import Counts, SentenceCounts, bootstrap_f1, f1_of_counts, span_counts, sum_counts
from fpplm_core.evaluation.scores import Logits, gold_spans
from fpplm_core.export.settings import VerifySettings
from fpplm_core.export.verdicts import LabelLmTrial, ServedF1, VariantVerdict
from fpplm_core.serving import Predictor
from fpplm_core.serving.bundle import open_bundle
from fpplm_core.serving.onnx_session import is_available

BOUND = 0.95  # the confidence of each one-sided bound of a loss

Parts = Iterable[Sequence[Sentence]]  # a split, iterated several times; each document is in one part


@dataclass(frozen=True)
class TorchAnswer:
    """The parts of a split, and torch's logits of all its words in one array. *Shape:* (words, K)."""

    parts: Parts
    logits: NDArray[np.float32]

    @classmethod
    def of(cls, split: str, corpus: Path, predictions: Path) -> TorchAnswer:
        """A split of the corpus, and the logits that evaluate wrote for it."""
        return cls(CorpusParts(split, corpus), np.load(predictions / f"{split}_logits.npy", mmap_mode="r"))

    def __iter__(self) -> Iterator[tuple[Sequence[Sentence], Logits]]:
        """Each part with the logits (words, K) of each sentence. Raises FpplmError for those of more or fewer words."""
        start = 0
        for sentences in self.parts:
            ends = np.cumsum([len(s.words) for s in sentences])
            own = self.logits[start : start + ends[-1]]
            start += int(ends[-1])
            if len(own) < ends[-1]:
                raise self.mismatch(f"at least {start}")
            yield sentences, np.split(own, ends[:-1])
        if start != len(self.logits):
            raise self.mismatch(str(start))

    def mismatch(self, words: str) -> FpplmError:
        """The error about logits of another number of words than this."""
        where = str(getattr(self.logits, "filename", None) or "")  # of the mapped file
        got = f"{len(self.logits)} for {words} words"
        return FpplmError("torch's logits are not those of the split", where=where, got=got, do="run: dvc repro")


@dataclass(frozen=True)
class Agreement:
    """How a graph agrees with torch on a split, and both with gold. *Shape:* both counts (sentences, 3)."""

    max_logit_delta: float
    changed: int
    counts: SentenceCounts
    torch_counts: SentenceCounts


def verify_graphs(
    bundle: Path,
    dev: TorchAnswer,
    test: TorchAnswer,
    settings: VerifySettings,
    measure: Callable[[Predictor], object],
) -> tuple[dict[str, VariantVerdict], dict[str, str]]:
    """The verdict on every graph of a bundle, on each available device, by "VARIANT on DEVICE"; and why others failed.

    `measure` is called with the loaded predictor of each.

    Raises BundleError if the float32 graph fails on the CPU: a failure of any other is only returned.
    """
    offered = open_bundle(bundle).config.variants
    graphs = [(variant, device) for device in offered if is_available(device) for variant in offered[device]]
    verdicts, failures = dict[str, VariantVerdict](), dict[str, str]()
    for number, (variant, device) in enumerate(graphs, start=1):
        name = f"{variant} on {device}"
        print(f"verifying {name} ({number} of {len(graphs)})", flush=True)
        try:
            predictor = Predictor.load(bundle, device, variant)
            on_dev, on_test = (compare_logits(predictor, answer) for answer in (dev, test))
            verdict = parity_verdict(variant, on_dev, on_test, settings)
            measure(predictor)
        except (BundleError, DeviceError) as error:
            if (variant, device) == ("fp32", "cpu"):
                raise
            failures[name] = ": ".join(filter(None, (error.what, error.got)))
            print(f"{name} fails and is left out: {failures[name]}", flush=True)
        else:
            verdicts[name] = verdict
    return verdicts, failures


def compare_logits(predictor: Predictor, torch: TorchAnswer) -> Agreement:
    """Compares a graph's logits with torch's, part by part."""
    delta, changed = 0.0, 0
    counts: list[Counts] = []
    torch_counts: list[Counts] = []
    for sentences, answer in torch:
        own = predictor.logits(*with_documents(sentences))
        delta = max([delta, *(float(np.abs(a - b).max()) for a, b in zip(own, answer, strict=True))])
        spans, torch_spans = (predictor.decoder.spans(rows) for rows in (own, answer))
        gold = gold_spans(sentences)
        changed += sum(a != b for a, b in zip(torch_spans, spans, strict=True))
        counts += map(span_counts, gold, spans)
        torch_counts += map(span_counts, gold, torch_spans)
    return Agreement(delta, changed, np.array(counts).reshape(-1, 3), np.array(torch_counts).reshape(-1, 3))


def parity_verdict(variant: str, dev: Agreement, test: Agreement, settings: VerifySettings) -> VariantVerdict:
    """The float32 graph must give torch's spans; the dev F1 of another variant may be a little lower.

    The loss may exceed its limit only where that may be chance, and its upper bound must be small too (paired bootstrap
    over sentences): on a small dev split, a bad graph may lose little by chance.
    """
    delta, changed = max(dev.max_logit_delta, test.max_logit_delta), dev.changed + test.changed
    # A two-sided interval has the same ends as both one-sided ones.
    loss = f1_difference(dev.torch_counts, dev.counts, alpha=2 * (1 - BOUND))
    if variant == "fp32":
        accepted = delta <= settings.max_logit_delta and not changed
    else:
        accepted = loss.low <= settings.max_f1_loss and loss.high <= settings.max_f1_bound
    dev_f1, test_f1, torch_f1 = (f1_of_counts(counts) for counts in (dev.counts, test.counts, test.torch_counts))
    return VariantVerdict(
        max_logit_delta=delta,
        sentences_with_other_spans=changed,
        dev_f1=dev_f1,
        dev_f1_loss=loss.mean,
        dev_f1_loss_low=loss.low,
        dev_f1_loss_high=loss.high,
        test_f1=test_f1,
        test_f1_loss=torch_f1 - test_f1,
        accepted=accepted,
    )


def try_label_lm(predictor: Predictor, dev: Parts) -> LabelLmTrial:
    """Scores a predictor without and with the label language model, and leaves it with the better one."""
    scores = []
    for predictor.use_label_lm in (False, True):
        scores.append(sum_counts(served_counts(predictor, dev)).f1)
    predictor.use_label_lm = scores[1] > scores[0]
    return LabelLmTrial(scores[0], scores[1], used=predictor.use_label_lm)


def served_f1(predictor: Predictor, test: Parts) -> ServedF1:
    """The F1 of a predictor on test with its documents; also without, if the tagger has context and test marks any."""
    counts = served_counts(predictor, test)
    low, high = bootstrap_f1(counts)
    alone = None
    if predictor.bundle.config.context and any(s.document is not None for part in test for s in part):
        parts = ([replace(s, document=None) for s in part] for part in test)
        alone = sum_counts(served_counts(predictor, parts)).f1
    return ServedF1(predictor.variant, sum_counts(counts).f1, low, high, alone)


def served_counts(predictor: Predictor, parts: Parts) -> list[Counts]:
    """The counts of each sentence with the spans that a predictor finds."""
    counts: list[Counts] = []
    for sentences in parts:
        tagged = predictor.tag(*with_documents(sentences))
        counts += (span_counts(g, [s for s, _ in row]) for g, row in zip(gold_spans(sentences), tagged, strict=True))
    return counts


def with_documents(sentences: Sequence[Sentence]) -> tuple[list[tuple[str, ...]], list[int | None]]:
    """The words and the document number of each sentence, as a predictor takes them."""
    return [s.words for s in sentences], [s.document for s in sentences]
