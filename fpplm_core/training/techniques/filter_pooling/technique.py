"""Filter pooling: some words' encodings are dropped, and the hole is filled from the words around it.

    m_t ~ Bernoulli(1 − p_t)    c_t = mean of the kept h within ±WINDOW    h̃_t = m_t h_t + (1 − m_t) c_t

The word keeps its label: a hole of zeros would only teach the prior, while a hole filled from the context teaches the
model to use the context. There is no rescaling, because h̃ is a mixture. Words that are probably O are filtered more
often: p_t = rate (1 + p(O)) / 2. On the input side, the cutoff replaces words by the encoder's mask piece (token
cutoff, 2009.13818). At inference nothing is filtered, so nothing is faster there. The findings say what it does: words
filtered and hidden, predicted labels that change, effective rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fpplm_core.model.mode import evaluating
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.averaging import without_gradient
from fpplm_core.training.batch import IGNORED, Batch, hide_words
from fpplm_core.training.technique import Finding, StepContext, Technique
from fpplm_core.training.techniques.filter_pooling.settings import FilterPoolingSettings

WINDOW = 2  # words on each side whose mean fills a hole
MEASURE_EVERY = 20  # steps


class FilterPooling(FilterPoolingSettings, Technique):
    def strength(self, context: StepContext) -> float:
        """Rises from 0 to 1 between `begin` and `full`, falls to 0 between `fade` and the end."""
        rise = context.ramp(self.begin, self.full) if self.full else 1.0
        return rise * (1.0 - context.ramp(self.fade, 1.0) if self.fade < 1 else 1.0)

    def modules(self, model: Tagger, pairs: Tensor) -> dict[str, nn.Module]:
        return {"measured": FilterStatistics()}

    def on_inputs(self, batch: Batch, model: Tagger, context: StepContext) -> Batch | None:
        share = self.cutoff * self.strength(context)
        if not share:
            return None
        generator = context.generator("cutoff", batch.ids.device)
        hidden = torch.rand(batch.first_pieces.shape, generator=generator, device=batch.ids.device) < share
        ids = hide_words(batch, hidden, model.blueprint.mask_id)
        context.modules["measured"].count_hidden((ids != batch.ids).gather(1, batch.first_pieces), batch.word_mask)
        return batch._replace(ids=ids)

    def on_hidden(self, hidden: Tensor, batch: Batch, model: Tagger, context: StepContext) -> Tensor | None:
        rate = self.rate * self.strength(context)
        if not rate:
            return None
        counted, measured = batch.labels != IGNORED, context.modules["measured"]
        with without_gradient(hidden.device):
            logits = head_logits(model, hidden)
            chance = rate * (1 + logits.softmax(-1)[..., 0]) / 2
            generator = context.generator("filter", hidden.device)
            dropped = torch.rand(chance.shape, generator=generator, device=hidden.device) < chance
        mixed, kept = fill(hidden, dropped & counted, counted, WINDOW)
        with without_gradient(hidden.device):
            measured.count(kept, counted)
            if context.step % MEASURE_EVERY == 0:
                measured.compare(hidden, mixed, counted)
                measured.compare_labels(logits.argmax(-1), head_logits(model, mixed).argmax(-1), counted & ~kept)
        return mixed

    def phases(self, total: int) -> dict[str, tuple[float, float]]:
        kinds = {"filter": self.rate, "input cutoff": self.cutoff}
        return {name: (self.begin, 1.0) for name, rate in kinds.items() if rate}

    def findings(self, modules: Mapping[str, Any]) -> dict[str, Finding]:
        return dict(modules["measured"].summary())


def head_logits(model: Tagger, hidden: Tensor) -> Tensor:
    """The head's logits without its dropout. *Shape:* (batch, words, width) to (batch, words, K) in float32."""
    with evaluating(model.head):
        return cast(Tensor, model.head(hidden)).float()


def fill(hidden: Tensor, dropped: Tensor, counted: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Dropped states replaced by the mean of the kept ones within ±window; where there is none, they stay.

    *Shape:* hidden (batch, words, width), dropped and counted (batch, words). Returns the mixture and what was kept.
    """
    kept = counted & ~dropped
    size = 2 * window + 1
    weights = kept.to(hidden.dtype).unsqueeze(2)
    padded = F.pad(hidden * weights, (0, 0, window, window))
    around = padded.unfold(1, size, 1).sum(-1)
    number = F.pad(weights, (0, 0, window, window)).unfold(1, size, 1).sum(-1)
    holes = (dropped & (number.squeeze(2) > 0)).unsqueeze(2)
    return torch.where(holes, around / number.clamp(min=1), hidden), ~holes.squeeze(2) & counted


class FilterStatistics(nn.Module):
    """Counts of words hidden and filtered and of labels changed, and the effective rank of states before and after."""

    hidden: Tensor
    words: Tensor
    changed: Tensor
    ranks: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("hidden", torch.zeros(2, dtype=torch.float64))  # words hidden from the encoder, all words
        self.register_buffer("words", torch.zeros(2, dtype=torch.float64))  # words filtered, all words
        self.register_buffer("changed", torch.zeros(2, dtype=torch.float64))  # filtered words with another label, all
        self.register_buffer("ranks", torch.zeros(3, dtype=torch.float64))  # sums before and after, number of sums

    def count_hidden(self, hidden: Tensor, words: Tensor) -> None:
        self.hidden += torch.stack([(hidden & (words > 0)).sum(), words.sum()])

    def count(self, kept: Tensor, counted: Tensor) -> None:
        self.words += torch.stack([(counted & ~kept).sum(), counted.sum()])

    def compare(self, before: Tensor, after: Tensor, counted: Tensor) -> None:
        ranks = [effective_rank(states[counted]) for states in (before, after)]
        self.ranks += torch.stack([*ranks, torch.ones_like(ranks[0])])

    def compare_labels(self, before: Tensor, after: Tensor, filtered: Tensor) -> None:
        self.changed += torch.stack([((before != after) & filtered).sum(), filtered.sum()])

    def summary(self) -> dict[str, float]:
        counts = (self.words, self.changed, self.hidden)
        filtered, changed, hidden = (float(part / whole.clamp(min=1)) for part, whole in counts)
        before, after, number = self.ranks.tolist()
        return {
            "share of words filtered": filtered,
            "share of filtered words whose label changes": changed,
            "share of words hidden from the encoder": hidden,
            "effective rank before": before / max(1.0, number),
            "effective rank after": after / max(1.0, number),
        }


def effective_rank(states: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values (Roy & Vetterli 2007). *Shape:* (n, width) to ()."""
    values = torch.linalg.svdvals(states.double())
    share = values / values.sum().clamp(min=1e-30)
    return torch.exp(-torch.special.xlogy(share, share).sum())
