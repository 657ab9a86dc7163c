"""Adversarial training on text without labels: a virtual attack, and a second opinion on its labels.

virtual   VAT (1704.03976): the direction d of the embeddings in which the prediction changes most, by one power
          iteration from a random one, d = ∇_r KL(p || p(e + r)) at r = ξ d0; the loss is KL(sg p || p(e + ε d)). It
          needs no labels. Dropout is off in it: its noise would drown the direction.
opinion   B, a head of its own on A's frozen states, learns the given labels and then those that A's averaged weights
          give to the text; these count only where B gives the same label (co-training).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fpplm_core.model.tagger import Tagger
from fpplm_core.training.averaging import without_gradient
from fpplm_core.training.batch import Batch
from fpplm_core.training.technique import AgreedShare

XI = 0.1  # length of the first step, in median embedding norms, where the divergence is still quadratic


def virtual_attack(model: Tagger, batch: Batch, epsilon: float, generator: torch.Generator) -> Tensor:
    """Mean KL from the prediction to the one with embeddings moved by ε · median ‖e_t‖ in each window."""
    with without_dropout(model):
        with without_gradient(batch.ids.device):
            states = model.encode(batch.ids, batch.mask, batch.types)
            clean = model.classify(model.first_piece_states(states, batch.first_pieces)).softmax(-1)
        plain = model.embed(batch.ids)
        delta = virtual_direction(model, batch, plain.detach(), clean, epsilon, generator)
        return divergence(model, batch, plain + delta, clean)


def virtual_direction(
    model: Tagger, batch: Batch, embeddings: Tensor, clean: Tensor, epsilon: float, generator: torch.Generator
) -> Tensor:
    """The move of the embeddings (batch, pieces, width) found by one power iteration."""
    noise = torch.randn(embeddings.shape, generator=generator, device=embeddings.device)
    start = perturbation(embeddings, noise, batch.mask, XI).requires_grad_()
    (gradient,) = torch.autograd.grad(divergence(model, batch, embeddings + start, clean), start)
    return perturbation(embeddings, gradient, batch.mask, epsilon)


def divergence(model: Tagger, batch: Batch, embeddings: Tensor, clean: Tensor) -> Tensor:
    """Mean KL over the words from `clean` (batch, words, K) to the prediction with these embeddings."""
    states = model.encode(batch.ids, batch.mask, batch.types, embeddings)
    owned = batch.word_mask.bool()
    moved = model.classify(model.first_piece_states(states, batch.first_pieces))[owned].log_softmax(-1)
    return F.kl_div(moved, clean[owned], reduction="batchmean")


def perturbation(embeddings: Tensor, direction: Tensor, mask: Tensor, epsilon: float) -> Tensor:
    """δ along `direction` with ‖δ‖ = ε · median ‖e_t‖ over each window, 0 on padding and where there is no direction.

    *Shape:* embeddings and direction (batch, pieces, width), mask (batch, pieces).
    """
    direction = direction.float() * mask.unsqueeze(2)
    norms = torch.linalg.vector_norm(direction, dim=(1, 2), keepdim=True)
    lengths = torch.linalg.vector_norm(embeddings.float(), dim=2).masked_fill(mask == 0, torch.inf)
    middle = (mask.sum(1, keepdim=True) - 1) // 2  # on CUDA torch's own median is not deterministic
    sizes = lengths.sort(1).values.gather(1, middle).unsqueeze(2)
    delta = torch.where(norms > 0, direction / norms.clamp(min=1e-30), torch.zeros_like(direction))
    moved: Tensor = epsilon * sizes * delta
    return moved.to(embeddings.dtype)


@contextmanager
def without_dropout(model: Tagger) -> Iterator[None]:
    """The model in evaluation mode."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


class SecondOpinion(nn.Module):
    """Model B on labels: one hidden layer on A's states, with dropout of its own."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(0.3), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, labels))
        self.agreed = AgreedShare()

    def forward(self, states: Tensor) -> Tensor:
        """*Shape:* (..., width) to (..., K) in float32."""
        scores: Tensor = self.layers(states.detach())
        return scores.float()

    def agrees(self, states: Tensor, labels: Tensor) -> Tensor:
        """Where it gives the same label. *Shape:* states (batch, words, width), labels (batch, words)."""
        same: Tensor = self(states).argmax(-1) == labels
        self.agreed.update(same, labels)
        return same

    def summary(self) -> dict[str, float]:
        return {"entities' words of text on which B agrees": float(self.agreed.share)}
