"""Multi-task loss: what labels say about each other and about their context, beside the labels themselves.

    L = L_tag + Σ w_k · L_k / c_k          c_k = the loss of a uniform predictor, so that weights can be compared

pair      multinomial logistic regression over adjacent labels: s[a, b] = z_t[a] + z_t+1[b] + A[a, b], the log-softmax
          over all legal pairs at the gold one (a piecewise CRF, Sutton & McCallum 2005, 1207.1409). A starts at the
          log-odds of the label pairs in train and has a learning rate of its own. The decoder adds A / 2, because the
          pairs along a path count the logits of each inner word twice.
crf       the same scores in a linear-chain conditional random field (Lafferty 2001), by the forward algorithm.
context   what the sentence around a word holds: the types present in it (attention pooling), the labels of the words
          before and after, the position in the entity (O B I E S) and the type alone.
second    the labels of another task (another column, or another corpus) by a head of its own (Caruana 1997).
masked_lm what a word was, where its first piece is hidden, by the encoder's own pretrained head (1810.04805), which
          stays as it is.
anchor    decoupled pull towards the first weights θ0 (L2-SP, 1802.01483): θ ← θ − p_t (θ − θ0), proportional to the
          learning rate, in all 1 − Π (1 − p_t) = anchor.
weights   fixed, or learned by homoscedastic uncertainty (1705.07115): exp(−s_k) L_k / c_k + s_k / 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fpplm_core.errors import ParamsError
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.tagger import Tagger
from fpplm_core.tagging.spans import types_of
from fpplm_core.training.batch import tag_loss
from fpplm_core.training.technique import Axes, Finding, StepContext, StepOutputs, Technique
from fpplm_core.training.techniques.multi_task.losses import (
    PREFIXES,
    Anchor,
    MaskedLm,
    Pairs,
    PrefixAndType,
    Presence,
    log_odds,
    neighbour_loss,
    second_loss,
    uniform_loss,
)
from fpplm_core.training.techniques.multi_task.settings import MultiTaskSettings

PAIR_RATE = 25.0  # times the head's rate: scores as large as logits need larger steps than the weights of a matrix


class MultiTask(MultiTaskSettings, Technique):
    def active(self) -> dict[str, float]:
        """The weights of the losses that are on."""
        names = ("pair", "presence", "neighbours", "boundary", "second", "masked_lm")
        return {name: getattr(self, name) for name in names if getattr(self, name) > 0}

    def modules(self, model: Tagger, pairs: Tensor) -> dict[str, nn.Module]:
        labels, on = model.blueprint.labels, self.active()
        made: dict[str, nn.Module] = {}
        if "pair" in on:
            start = log_odds(pairs)
            made["pair"] = Pairs(labels, start if self.pair_kind == "pair" else start / 2)
        if "presence" in on:
            made["presence"] = Presence(model.width, labels)
        if "neighbours" in on:
            made["neighbours"] = nn.Linear(model.width, 2 * len(labels))
        if "boundary" in on:
            made["boundary"] = PrefixAndType(model.width, labels)
        second = model.blueprint.second
        if bool(second) != ("second" in on):
            raise ParamsError(
                "a second task needs its labels and a weight",
                where="technique.multi_task.second",
                got=f"{self.second}, and {len(second)} labels",
                do="give both data.second and this weight, or neither",
            )
        if "second" in on:
            made["second"] = nn.Linear(model.width, len(second))
        if "masked_lm" in on:
            made["masked_lm"] = MaskedLm(model)
        if self.anchor:
            made["anchor"] = Anchor(model)
        if self.weights == "uncertainty":
            made["uncertainty"] = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in ["tag", *on]})
        return made

    def label_axes(self, blueprint: Blueprint) -> dict[str, Axes]:
        labels, types = blueprint.labels, types_of([blueprint.labels])
        both = [f"{place} {label}" for place in ("before", "after") for label in labels]
        apart = [*PREFIXES, "no type", *(f"type {kind}" for kind in types)]
        rows = {"presence.head": types, "neighbours": both, "boundary.head": apart, "second": blueprint.second}
        axes: dict[str, Axes] = {f"{name}.{part}": (own,) for name, own in rows.items() for part in ("weight", "bias")}
        return axes | {"pair.scores": (labels, labels)}

    def rates(self) -> dict[str, float]:
        return {"pair": PAIR_RATE} if self.pair else {}

    def losses(self, step: StepOutputs, context: StepContext) -> dict[str, Tensor]:
        own, on = context.modules, self.active()
        if context.in_frozen_phase:  # the other heads would overfit train there, and then pull the encoder towards that
            on = {name: weight for name, weight in on.items() if name == "pair"}
        count = step.logits.shape[-1]
        raw: dict[str, Tensor] = {}
        if "pair" in on:
            raw["pair"] = own["pair"](step.logits, step.batch.labels, self.pair_kind)
        if "presence" in on:
            raw["presence"] = own["presence"](step.hidden, step.batch.labels)
        if "neighbours" in on:
            guesses = own["neighbours"](step.hidden).float()
            raw["neighbours"] = neighbour_loss(guesses, step.batch.labels) / uniform_loss(count)
        if "boundary" in on:
            raw["boundary"] = own["boundary"](step.hidden, step.batch.labels)
        if "second" in on:
            raw["second"] = second_loss(own["second"](step.hidden).float(), step.batch.second)
        if "masked_lm" in on:
            raw["masked_lm"] = own["masked_lm"](step, context.generator("masked_lm", step.hidden.device))
        if self.weights == "fixed":
            return {name: on[name] * value for name, value in raw.items()}
        tag = tag_loss(step.logits, step.batch.labels)
        scores = own["uncertainty"]
        with torch.no_grad():
            for score in scores.values():
                score.clamp_(-2, 2)  # in place: a score outside would have no gradient that brings it back
        weighted = {name: torch.exp(-scores[name]) * value + scores[name] / 2 for name, value in raw.items()}
        # The loop adds the label loss once by itself: what is missing to its weighted form.
        return weighted | {"tag": (torch.exp(-scores["tag"]) - 1) * tag + scores["tag"] / 2}

    @torch.no_grad()
    def after_update(self, parameters: Mapping[str, nn.Parameter], context: StepContext) -> None:
        if self.anchor:
            # The schedule's factors have mean 1/2, so that all steps together pull by `anchor`.
            pull = 1.0 - (1.0 - self.anchor) ** (2.0 * context.rate / context.total)
            anchors = context.modules["anchor"].weights(parameters)
            moved = [name for name in anchors if parameters[name].grad is not None]
            if not moved:
                return  # the whole encoder is frozen
            torch._foreach_lerp_([parameters[n].data for n in moved], [anchors[n] for n in moved], pull)

    def transitions(self, modules: Mapping[str, Any]) -> Tensor | None:
        if "pair" not in modules:
            return None
        learned: Tensor = modules["pair"].scores.detach()
        return learned if self.pair_kind == "crf" else learned / 2

    def phases(self, total: int) -> dict[str, tuple[float, float]]:
        names = ", ".join(self.active())
        return ({names: (0.0, 1.0)} if names else {}) | ({"anchor": (0.0, 1.0)} if self.anchor else {})

    def findings(self, modules: Mapping[str, Any]) -> dict[str, Finding]:
        found: dict[str, Finding] = {}
        if "pair" in modules:
            sizes = modules["pair"].scores.detach()[modules["pair"].legal].abs()
            found["size of the label pairs' scores"] = {"mean": float(sizes.mean()), "largest": float(sizes.max())}
        if "uncertainty" in modules:
            scores = {name: float(s.detach().clamp(-2, 2)) for name, s in modules["uncertainty"].items()}
            found["weights"] = {name: math.exp(-score) for name, score in scores.items()}
        return found
