"""Filter pooling: some words' encodings are dropped, and the hole is filled from the words around it.

    m_t ~ Bernoulli(1 − p_t)    c_t = mean of the kept h within ±window    h̃_t = m_t h_t + (1 − m_t) c_t

The word keeps its label: a hole of zeros would teach the prior alone, a hole filled from the context teaches to read
the context. No rescaling: h̃ is a mixture. Words that are probably O are filtered more:
p_t = rate (1 + p(O)) / 2. The companion on the input side replaces words by the encoder's mask piece (token cutoff,
2009.13818). At inference nothing is filtered, so nothing is faster there; what is reduced is measured (kept words,
effective rank).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fpplm_core.model.tagger import Tagger
from fpplm_core.training.averaging import without_gradient
from fpplm_core.training.batch import IGNORED, Batch, hide_words
from fpplm_core.training.technique import Finding, StepContext, Technique
from fpplm_core.training.techniques.filter_pooling.settings import FilterPoolingSettings

RANK_EVERY = 20  # steps


class FilterPooling(FilterPoolingSettings, Technique):
    def strength(self, context: StepContext) -> float:
        """Rises from 0 to 1 between `begin` and `full`, falls to 0 between `fade` and the end."""
        rise = context.ramp(self.begin, self.full) if self.full else 1.0
        return rise * (1.0 - context.ramp(self.fade, 1.0) if self.fade < 1 else 1.0)

    def modules(self, model: Tagger) -> dict[str, nn.Module]:
        return {"measured": FilterStatistics()}

    def on_inputs(self, batch: Batch, model: Tagger, context: StepContext) -> Batch | None:
        share = self.cutoff * self.strength(context)
        if not share:
            return None
        generator = context.generator("cutoff", batch.ids.device)
        hidden = torch.rand(batch.first_pieces.shape, generator=generator, device=batch.ids.device) < share
        return batch._replace(ids=hide_words(batch, hidden, model.blueprint.mask_id))

    def on_hidden(self, hidden: Tensor, batch: Batch, model: Tagger, context: StepContext) -> Tensor | None:
        rate = self.rate * self.strength(context)
        if not rate:
            return None
        counted = batch.labels != IGNORED
        with without_gradient(hidden.device):
            chance = rate * (1 + outside_chance(model, hidden)) / 2
            generator = context.generator("filter", hidden.device)
            dropped = torch.rand(chance.shape, generator=generator, device=hidden.device) < chance
        mixed, kept = fill(hidden, dropped & counted, counted, self.window)
        with torch.no_grad():
            context.modules["measured"].update(hidden, mixed, kept, counted, context.step)
        return mixed

    def phases(self, total: int) -> dict[str, tuple[float, float]]:
        kinds = {"filter": self.rate, "input cutoff": self.cutoff}
        return {name: (self.begin, 1.0) for name, rate in kinds.items() if rate}

    def findings(self, modules: Mapping[str, Any]) -> dict[str, Finding]:
        return dict(modules["measured"].summary())


def outside_chance(model: Tagger, hidden: Tensor) -> Tensor:
    """p(O) of each word, by the head without its dropout. *Shape:* (batch, words, width) to (batch, words)."""
    training = model.head.training
    model.head.eval()
    logits: Tensor = model.head(hidden)
    model.head.train(training)
    return logits.float().softmax(-1)[..., 0]


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
    """What the filter did: words kept, and the effective rank of the states before and after."""

    kept: Tensor
    seen: Tensor
    ranks: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros((), dtype=torch.float64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.float64))
        self.register_buffer("ranks", torch.zeros(3, dtype=torch.float64))  # before, after, number

    def update(self, before: Tensor, after: Tensor, kept: Tensor, counted: Tensor, step: int) -> None:
        self.kept += kept.sum()
        self.seen += counted.sum()
        if step % RANK_EVERY == 0:
            ranks = [effective_rank(states[counted]) for states in (before, after)]
            self.ranks += torch.stack([*ranks, torch.ones_like(ranks[0])])

    def summary(self) -> dict[str, float]:
        before, after, number = self.ranks.tolist()
        return {
            "share of words kept": float(self.kept / self.seen.clamp(min=1)),
            "effective rank before": before / max(1.0, number),
            "effective rank after": after / max(1.0, number),
        }


def effective_rank(states: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values (Roy & Vetterli 2007). *Shape:* (n, width) to ()."""
    values = torch.linalg.svdvals(states.double())
    share = values / values.sum().clamp(min=1e-30)
    return torch.exp(-torch.special.xlogy(share, share).sum())
