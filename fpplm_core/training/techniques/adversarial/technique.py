"""Adversarial training: an attack on the inputs, and a rival that attacks the logits with the errors that it predicts.

input     FGM (1605.07725): e' = e + δ, δ = ε · median ‖e_t‖ · g / ‖g‖ for each window, g = ∇_e L; the loss on e' is
          added. A pass of its own from a detached leaf, in every `input_every`-th step.
rival     Model B, a head on the detached states of model A (the tagger), learns A's best wrong label, above all where A
          errs: the distribution of wrong labels q_B, with q_B(gold) = 0. It attacks A's logits within a budget,
          z' = z + η u q_B, and A must win against z'. η bounds the game, so it cannot diverge as mutual training on
          wrong labels would.
trust     u_t = p_T(gold) of a teacher, the averaged weights: no push where the given label is probably wrong.
consistency  KL(p_T || p_A) (mean teacher, 1703.01780; co-regularisation, 2104.07204): keeps A stable under label noise.
label_correction  where the teacher is sure of another label, the target becomes a mixture; off unless noise is
          expected, because it also erases rare types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.batch import IGNORED, Batch, tag_loss
from fpplm_core.training.running_mean import RunningMean
from fpplm_core.training.technique import Axes, Finding, StepContext, StepOutputs, Technique
from fpplm_core.training.techniques.adversarial.settings import AdversarialSettings
from fpplm_core.training.techniques.adversarial.unlabelled import SecondOpinion, perturbation, virtual_attack

SURE = 0.9  # the teacher's probability of another label from which it corrects


class Adversarial(AdversarialSettings, Technique):
    def modules(self, model: Tagger, pairs: Tensor) -> dict[str, nn.Module]:
        return {"rival": Rival(model.width, len(model.blueprint.labels))} if self.rival_budget else {}

    def label_axes(self, blueprint: Blueprint) -> dict[str, Axes]:
        last = {"rival": 2, "opinion": 3}  # layer
        parts = ("weight", "bias")
        return {f"{name}.layers.{at}.{part}": (blueprint.labels,) for name, at in last.items() for part in parts}

    def unlabelled_modules(self, model: Tagger) -> dict[str, nn.Module]:
        return {"opinion": SecondOpinion(model.width, len(model.blueprint.labels))} if self.rival_budget else {}

    def learns_text(self, context: StepContext) -> bool:
        return self.virtual_weight(context) > 0

    def attacks_inputs(self, context: StepContext) -> bool:
        """Whether this step has attacks on the embeddings."""
        due = context.progress < self.input_until and context.step % self.input_every == 0
        return self.epsilon > 0 and due

    def virtual_weight(self, context: StepContext) -> float:
        """The weight of the virtual attack in this step; 0 where there is none."""
        return self.virtual * context.ramp(self.begin, self.full) if self.attacks_inputs(context) else 0.0

    def losses(self, step: StepOutputs, context: StepContext) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        if "opinion" in context.modules:
            found["opinion"] = tag_loss(context.modules["opinion"](step.hidden), step.batch.labels)
        strength = context.ramp(self.begin, self.full)
        if self.rival_budget:
            found |= self.rival_losses(step, context, strength)
        if not strength or context.in_frozen_phase:
            return found
        if self.consistency:
            found["consistency"] = self.consistency * strength * agreement(step.teacher, step.logits, step.counted)
        if self.label_correction:
            found["label_correction"] = strength * correction(step, self.label_correction)
        if self.attacks_inputs(context):
            found["input"] = strength * input_attack(step.model, step.batch, self.epsilon)
        return found

    def rival_losses(self, step: StepOutputs, context: StepContext, strength: float) -> dict[str, Tensor]:
        rival: Rival = context.modules["rival"]
        counted = step.counted
        logits, gold = step.logits[counted], step.batch.labels[counted]
        wrong = rival(step.hidden[counted].detach(), gold)
        found = {"rival": rival_loss(wrong, logits.detach(), gold)}
        attacked = logits
        if strength and not context.in_frozen_phase:
            trust = step.teacher[counted].softmax(-1).gather(1, gold.unsqueeze(1))
            push = self.rival_budget * strength * trust * wrong.detach().softmax(-1)
            # The loop adds the loss on z: together, the label loss is the one on z' (if multi_task learns no weight).
            attacked = logits + push
            found["push"] = F.cross_entropy(attacked, gold) - F.cross_entropy(logits, gold)
        rival.update(wrong, logits, attacked, gold)
        return found

    def trust(self, taught: StepOutputs, labels: Tensor, context: StepContext) -> Tensor | None:
        return context.modules["opinion"].agrees(taught.hidden, labels) if "opinion" in context.modules else None

    def unlabelled_losses(self, step: StepOutputs, context: StepContext) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        if "opinion" in context.modules:
            scores, labels = context.modules["opinion"](step.hidden).flatten(0, 1), step.batch.labels.flatten()
            total = F.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum")
            found["opinion_of_text"] = total / step.counted.sum().clamp(min=1)
        if weight := self.virtual_weight(context):
            generator = context.generator("virtual", step.batch.ids.device)
            found["virtual"] = weight * virtual_attack(step.model, step.clean, self.epsilon, generator)
        return found

    def phases(self, total: int) -> dict[str, tuple[float, float]]:
        found = {"B learns A's errors": (0.0, 1.0), "B attacks A": (self.begin, 1.0)} if self.rival_budget else {}
        if self.epsilon and self.begin < self.input_until:
            found["attack on the embeddings"] = (self.begin, self.input_until)
        return found | ({"agreement with the averaged weights": (self.begin, 1.0)} if self.consistency else {})

    def findings(self, modules: Mapping[str, Any]) -> dict[str, Finding]:
        own = [modules[name].summary() for name in ("rival", "opinion") if name in modules]
        return {key: value for summary in own for key, value in summary.items()}


class Rival(nn.Module):
    """Model B: the distribution of wrong labels, given a word's state."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, labels))
        self.recent = RunningMean(4)

    def forward(self, states: Tensor, gold: Tensor) -> Tensor:
        """Logits with the gold label masked out. *Shape:* (n, width), (n,) to (n, K) in float32."""
        scores: Tensor = self.layers(states)
        return scores.float().scatter(1, gold.unsqueeze(1), -1e4)

    @torch.no_grad()
    def update(self, wrong: Tensor, logits: Tensor, attacked: Tensor, gold: Tensor) -> None:
        """Updates the running means over words.

        They are A's error rate, the share of these errors that B predicted, the share of words that A gets wrong only
        under the attack, and the share whose margin the attack at least halves.

        *Shape:* wrong, logits and attacked (n, K), gold (n,).
        """
        guess = logits.argmax(-1)
        errors = guess != gold
        foreseen = (wrong.argmax(-1) == guess) & errors
        before, after = margin(logits, gold), margin(attacked, gold)
        lost, halved = (before > 0) & (after <= 0), (before > 0) & (after < before / 2)
        self.recent.update(torch.stack([errors, foreseen, lost, halved]).float().mean(1))

    def summary(self) -> dict[str, float]:
        names = (
            "words that A gets wrong (running mean)",
            "of these, predicted by B",
            "words that A gets wrong only under B's attack",
            "words whose margin the attack halves",
        )
        errors, foreseen, *others = self.recent.means().tolist()
        return dict(zip(names, [errors, foreseen / max(errors, 1e-30), *others], strict=True))


def margin(logits: Tensor, gold: Tensor) -> Tensor:
    """The logit of the gold label minus that of the best wrong one. *Shape:* (n, K), (n,) to (n,)."""
    target = gold.unsqueeze(1)
    return (logits.gather(1, target) - logits.scatter(1, target, -torch.inf).amax(1, keepdim=True)).squeeze(1)


def rival_loss(wrong: Tensor, logits: Tensor, gold: Tensor) -> Tensor:
    """B's cross-entropy at A's best wrong label: weight 1 where A errs, a tenth elsewhere, so that B always learns."""
    fake = logits.scatter(1, gold.unsqueeze(1), -torch.inf).argmax(-1)
    weight = torch.where(logits.argmax(-1) == gold, 0.1, 1.0)
    return (weight * F.cross_entropy(wrong, fake, reduction="none")).mean()


def agreement(teacher: Tensor, logits: Tensor, counted: Tensor) -> Tensor:
    """Mean KL(p_T || p_A) over the words that count."""
    own, taught = logits[counted].log_softmax(-1), teacher[counted].softmax(-1)
    return F.kl_div(own, taught, reduction="batchmean")


def correction(step: StepOutputs, most: float) -> Tensor:
    """The change in the label loss where the teacher is sure of another label: target (1 − β) gold + β p_T."""
    counted = step.counted
    logits, gold, taught = step.logits[counted], step.batch.labels[counted], step.teacher[counted].softmax(-1)
    chance, best = taught.max(-1)
    share = most * ((chance > SURE) & (best != gold))
    soft = -(taught * logits.log_softmax(-1)).sum(-1)
    return (share * (soft - F.cross_entropy(logits, gold, reduction="none"))).mean()


def input_attack(model: Tagger, batch: Batch, epsilon: float) -> Tensor:
    """The label loss on embeddings that were moved by ε · median ‖e_t‖ along the gradient, window by window."""
    plain = model.embed(batch.ids)
    leaf = plain.detach().requires_grad_()

    def loss(embeddings: Tensor) -> Tensor:
        states = model.words(batch.ids, batch.mask, batch.types, batch.first_pieces, embeddings)
        return tag_loss(model.classify(states), batch.labels)

    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    return loss(plain + perturbation(plain.detach(), gradient, batch.mask, epsilon))
