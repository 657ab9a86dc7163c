"""Adversarial training on unlabelled text: a virtual attack, and a second opinion on pseudo-labels.

virtual   VAT (1704.03976): the direction d of the embeddings in which the prediction changes most, by one power
          iteration from a random one, d = ∇_r KL(p || p(e + r)) at r = ξ d0; the loss is KL(sg p || p(e + ε d)). It
          needs no labels. Dropout is off, because its noise would hide the direction.
opinion   a second classification head on A's detached states learns the given labels and the trusted pseudo-labels; a
          pseudo-label is trusted only if this head predicts it too (co-training).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fpplm_core.model.mode import evaluating
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.agreed_share import AgreedShare
from fpplm_core.training.averaging import without_gradient
from fpplm_core.training.batch import Batch

# The length of the first step, in median embedding norms. With a shorter one, the direction is partly rounding under
# bfloat16; with a longer one, the divergence is no longer quadratic. Mean cosine to the direction of a tiny step in
# float64, with the bundled encoder after 0 to 120 steps of training on WikiGold: in bfloat16 0.91 with a length of 0.3,
# 0.93 with 0.5 and 0.89 with 1.0; in float32 0.99, 0.97 and 0.90.
XI = 0.5


def virtual_attack(model: Tagger, batch: Batch, epsilon: float, generator: torch.Generator) -> Tensor:
    """Mean KL from the prediction to the one with embeddings moved by ε · median ‖e_t‖ in each window."""
    with evaluating(model):
        with without_gradient(batch.ids.device):
            states = model.words(batch.ids, batch.mask, batch.types, batch.first_pieces)
            clean = model.classify(states).softmax(-1)
        plain = model.embed(batch.ids)
        delta = virtual_direction(model, batch, plain.detach(), clean, epsilon, generator)
        return divergence(model, batch, plain + delta, clean)


def virtual_direction(
    model: Tagger, batch: Batch, embeddings: Tensor, clean: Tensor, epsilon: float, generator: torch.Generator
) -> Tensor:
    """The perturbation of the embeddings found by one power iteration.

    *Shape:* embeddings and result (batch, pieces, width), clean (batch, words, K).
    """
    noise = torch.randn(embeddings.shape, generator=generator, device=embeddings.device)
    start = perturbation(embeddings, noise, batch.mask, XI).requires_grad_()
    (gradient,) = torch.autograd.grad(divergence(model, batch, embeddings + start, clean), start)
    return perturbation(embeddings, gradient, batch.mask, epsilon)


def divergence(model: Tagger, batch: Batch, embeddings: Tensor, clean: Tensor) -> Tensor:
    """Mean KL(clean || prediction with these embeddings) over the words.

    *Shape:* embeddings (batch, pieces, width), clean, probabilities, (batch, words, K).
    """
    states = model.words(batch.ids, batch.mask, batch.types, batch.first_pieces, embeddings)
    owned = batch.word_mask.bool()
    moved = model.classify(states)[owned].log_softmax(-1)
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


class SecondOpinion(nn.Module):
    """A second classification head on A's states: one hidden layer, its own dropout, and no gradient to A."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(0.3), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, labels))
        self.agreed = AgreedShare()

    def forward(self, states: Tensor) -> Tensor:
        """*Shape:* (..., width) to (..., K) in float32."""
        scores: Tensor = self.layers(states.detach())
        return scores.float()

    def agrees(self, states: Tensor, labels: Tensor) -> Tensor:
        """True where it predicts the same label; updates the running share.

        *Shape:* states (batch, words, width), labels and result (batch, words).
        """
        same: Tensor = self(states).argmax(-1) == labels
        self.agreed.update(same, labels)
        return same

    def summary(self) -> dict[str, float]:
        return {"entities' words of text on which the second opinion agrees": self.agreed.share()}
