"""Self-training: the averaged weights assign pseudo-labels to unlabelled text, and the model learns the trusted ones.

label     argmax of the averaged weights (mean teacher, 1703.01780), without noise; the student has its dropout, and a
          share of the words is hidden from it, so that it must use the context (FixMatch, 2001.07685)
trust     a pseudo-label counts if its probability reaches the threshold of its type and every technique trusts it; an
          entity counts as a whole, with legal labels, or not at all. The probability is calibrated by the temperature
          with the best likelihood on dev at the end of the last epoch (1706.04599)
quotas    r_k = share of type k (or O) among the words that counted / its share in the labelled data; r_E is the same
          ratio for all entities together. An under-represented class has a lower threshold, after FlexMatch
          (2110.08263): 0.5 + (confidence − 0.5) min(1, r_k / r_E). Words of an over-represented class weigh less,
          min(1, r_E / r_k). This matters most for O, of which the teacher is nearly always sure: a model that drifts
          towards O must not learn ever more O.
loss      Σ w_k CE(student, pseudo-label) over the words that count / number of all words
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fpplm_core.tagging.schemes import OUTSIDE, transitions
from fpplm_core.tagging.spans import types_of_labels
from fpplm_core.training.averaging import averaged, without_gradient
from fpplm_core.training.batch import IGNORED, Batch, hide_words
from fpplm_core.training.settings import SelfTrainingSettings
from fpplm_core.training.technique import Finding, StepContext, StepOutputs, Technique

if TYPE_CHECKING:
    from fpplm_core.model.tagger import Tagger
    from fpplm_core.training.state import TrainingState

NAME = "self_training"
MEMORY = 0.98  # of the running counts of pseudo-labels
TEMPERATURES = [0.5 * 1.05**n for n in range(43)]  # up to 3.9
DOUBT = 100.0  # words with the shares of the labelled data that are added to the running counts (a prior)


def unlabelled_losses(
    state: TrainingState, batch: Batch, techniques: Mapping[str, Technique], contexts: Mapping[str, StepContext]
) -> dict[str, Tensor]:
    """The losses of all techniques on a batch of unlabelled text, by name; see `Technique.trust`.

    Its pseudo-labels are those of the averaged weights, IGNORED where a technique does not trust them or where the
    entity is not legal. The content of `batch.labels` is not used.
    """
    owned = batch.word_mask.bool()
    with averaged(state.average, state.model, state.technique_modules), without_gradient(batch.ids.device):
        taught = _outputs(state, batch, batch)
        labels = taught.logits.argmax(-1).masked_fill(~owned, IGNORED)
        kept = owned
        for name, technique in techniques.items():
            trusted = technique.trust(taught, labels, contexts[name])
            kept = kept if trusted is None else kept & trusted
        labels = labels.masked_fill(~whole_spans(labels, kept, state.model.blueprint.labels), IGNORED)
    seen = batch._replace(labels=labels)
    for name, technique in techniques.items():
        seen = technique.on_unlabelled(seen, state.model, contexts[name])
    step = _outputs(state, batch, seen)
    return {
        f"{name}.{key}": value
        for name, technique in techniques.items()
        for key, value in technique.unlabelled_losses(step, contexts[name]).items()
    }


def _outputs(state: TrainingState, clean: Batch, batch: Batch) -> StepOutputs:
    model = state.model
    hidden = model.words(batch.ids, batch.mask, batch.types, batch.first_pieces)
    return StepOutputs(model, clean, batch, hidden, model.classify(hidden), state.average)


def whole_spans(labels: Tensor, kept: Tensor, names: Sequence[str]) -> Tensor:
    """True at the kept words, except those of an entity with a word that is not kept or with an illegal border.

    `labels` are IGNORED where there is no word, `names` are all labels. *Shape:* labels, kept and result
    (batch, words).
    """
    device, edge = labels.device, len(names)
    legal = torch.from_numpy(transitions(names)).to(device)
    goes_on = torch.tensor([name[:2] in ("I-", "E-") for name in names] + [False], device=device)
    numbers = F.pad(torch.where(labels == IGNORED, edge, labels), (1, 1), value=edge)
    fits = legal[numbers[:, :-1], numbers[:, 1:]]  # the border before each word, and the one after the last
    span = (~goes_on[numbers[:, 1:-1]]).cumsum(1)
    doubtful = ~(kept & fits[:, :-1] & fits[:, 1:])
    # An illegal I or E is joined to the span before it instead of starting its own, so both become doubtful.
    together = span.unsqueeze(2) == span.unsqueeze(1)
    return ~(together & doubtful.unsqueeze(1)).any(2)


class SelfTraining(SelfTrainingSettings, Technique):
    """Not one of the six techniques: it is active if there is unlabelled text, also in plain training."""

    def modules(self, model: Tagger, pairs: Tensor) -> dict[str, nn.Module]:
        return {"quotas": Quotas(model.blueprint.labels)}

    def losses(self, step: StepOutputs, context: StepContext) -> dict[str, Tensor]:
        context.modules["quotas"].observe(step.batch.labels)
        return {}

    def on_unlabelled(self, batch: Batch, model: Tagger, context: StepContext) -> Batch:
        device = batch.ids.device
        generator = context.generator("hide", device)
        draws = torch.rand(batch.first_pieces.shape, generator=generator, device=device)
        return batch._replace(ids=hide_words(batch, draws < self.hidden, model.blueprint.mask_id))

    def trust(self, taught: StepOutputs, labels: Tensor, context: StepContext) -> Tensor:
        quotas: Quotas = context.modules["quotas"]
        calibrated = (taught.logits / quotas.temperature).softmax(-1)
        chance = calibrated.gather(2, labels.clamp(min=0).unsqueeze(2)).squeeze(2)
        return chance >= quotas.thresholds(self.confidence)[quotas.kind[labels.clamp(min=0)]]

    def on_dev(self, logits: Tensor, labels: Tensor, modules: Mapping[str, Any]) -> None:
        losses = torch.stack([F.cross_entropy(logits / temperature, labels) for temperature in TEMPERATURES])
        modules["quotas"].temperature.fill_(TEMPERATURES[int(losses.argmin())])

    def unlabelled_losses(self, step: StepOutputs, context: StepContext) -> dict[str, Tensor]:
        quotas: Quotas = context.modules["quotas"]
        labels = step.batch.labels
        weights = quotas.weights()[quotas.kind[labels.clamp(min=0)]]
        loss = F.cross_entropy(step.logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none")
        total = (weights.flatten() * loss).sum() / step.batch.word_mask.sum().clamp(min=1)
        quotas.observe(labels, step.batch.word_mask)
        return {"tag": self.weight * context.ramp(self.begin, self.full) * total}

    def phases(self, total: int) -> dict[str, tuple[float, float]]:
        return {"learns its own labels": (self.begin, 1.0)} if self.weight else {}

    def findings(self, modules: Mapping[str, Any]) -> dict[str, Finding]:
        return dict(modules["quotas"].summary(self.confidence))


class Quotas(nn.Module):
    """Counts of O and each type among all labels so far and recent pseudo-labels; thresholds and weights from them."""

    kind: Tensor
    temperature: Tensor
    labelled: Tensor
    kept: Tensor
    recent: Tensor

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        self.names, kinds = types_of_labels(labels)
        self.register_buffer("kind", torch.tensor(kinds), persistent=False)
        for shares in ("labelled", "kept"):
            self.register_buffer(shares, torch.zeros(1 + len(self.names), dtype=torch.float64))
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("recent", torch.zeros(2, dtype=torch.float64))  # words that counted, and all words

    @torch.no_grad()
    def observe(self, labels: Tensor, word_mask: Tensor | None = None) -> None:
        """Adds the labels of a batch to the counts of given labels, or to the running ones of pseudo-labels.

        Those come with a `word_mask`, and also update the share of words that count. *Shape:* both (batch, words).
        """
        numbers = F.one_hot(self.kind[labels[labels != IGNORED]], len(self.labelled)).sum(0).double()
        if word_mask is None:
            self.labelled += numbers
        else:
            self.kept.mul_(MEMORY).add_(numbers)
            self.recent.mul_(MEMORY).add_(torch.stack([numbers.sum(), word_mask.sum().double()]))

    def ratios(self) -> Tensor:
        """r_k / r_E for O and each type; 1 until words have counted, and without types. *Shape:* (1 + types,)."""
        if not self.names:
            return torch.ones_like(self.kept)
        wanted = (self.labelled + 1e-3) / (self.labelled + 1e-3).sum()
        kept = self.kept + DOUBT * wanted
        return (kept / wanted) / (kept[1:].sum() / wanted[1:].sum())

    def thresholds(self, confidence: float) -> Tensor:
        """The least probability of a pseudo-label that counts, for O and each type. *Shape:* (1 + types,)."""
        return (0.5 + (confidence - 0.5) * self.ratios().clamp(max=1.0)).float()

    def weights(self) -> Tensor:
        """The weight of a word that counts, for O and each type. *Shape:* (1 + types,)."""
        return (1.0 / self.ratios().clamp(min=1.0)).float()

    def summary(self, confidence: float) -> dict[str, Finding]:
        def by_type(values: Tensor) -> dict[str, float]:
            return dict(zip([OUTSIDE, *self.names], values.tolist(), strict=True))

        counted, seen = self.recent.tolist()
        return {
            "temperature": float(self.temperature),
            "share of unlabelled words that count": counted / max(1.0, seen),
            "kept share": by_type(self.kept / self.kept.sum().clamp(min=1)),
            "labelled share": by_type(self.labelled / self.labelled.sum().clamp(min=1)),
            "threshold": by_type(self.thresholds(confidence)),
            "weight": by_type(self.weights()),
        }
