"""Generation: a small label language model D reads a corrupted or predicted label sequence and writes the true one.

    u_t = a_t E^T q_t + W h_t + position_t          one Transformer layer over words          p_D = softmax(V D(u))

init      E[k] = the unit-norm centroid of the encoder's states of words labelled k: of all cached states of the frozen
          phase, or without that phase of those of the first steps
tune      in the frozen phase, D learns from states that it cannot change
joint     afterwards its loss also reaches the encoder; in half of the windows D reads corrupted gold labels, in the
          others the tagger's own predictions
feedback  KL(p_D || p_A) on words whose own slot is hidden and to whose label D gives a higher probability than the
          tagger A, while D is ahead of A on hidden slots
agreement the probability that D gives to pseudo-labels of unlabelled text whose own slots it does not see
bias      where A's mean probability of a label on dev differs from its frequency there, the head's bias is corrected

The slot of a word, its own label in D's input, is hidden (a_t = 0) for a share `hide` of the words, and D never reads
uncorrupted gold labels: otherwise it would learn to copy, because a tagger that has fitted the training set is right
nearly everywhere. D is trained with the tagger, but is not in its graph. After label attention networks (1908.08676)
and two-stage refinement (2012.10608), which show that unconstrained refinement breaks correct labels; therefore D
only teaches, and the tagger decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.dropout import Dropout
from fpplm_core.model.tagger import Tagger
from fpplm_core.tagging.viterbi import LABEL_LM_TEMPERATURE
from fpplm_core.training.agreed_share import AgreedShare
from fpplm_core.training.batch import IGNORED
from fpplm_core.training.running_mean import RunningMean
from fpplm_core.training.technique import Axes, Finding, SecondGraph, StepContext, StepOutputs, Technique
from fpplm_core.training.techniques.label_lm.settings import LabelLmSettings

LONGEST = 512  # words with a position of their own; all words after them share the last position
STATE_DROPOUT = 0.5  # otherwise the decoder overfits the states of the training set and ignores the labels
INIT_STEPS = 4  # first steps whose states become the label embeddings, if there is no frozen phase


class LabelLm(LabelLmSettings, Technique):
    def modules(self, model: Tagger, pairs: Tensor) -> dict[str, nn.Module]:
        return {"decoder": LabelDecoder(model.width, len(model.blueprint.labels), self.width)}

    def label_axes(self, blueprint: Blueprint) -> dict[str, Axes]:
        return dict.fromkeys(("decoder.labels", "decoder.write.weight", "decoder.write.bias"), (blueprint.labels,))

    def unlabelled_modules(self, model: Tagger) -> dict[str, nn.Module]:
        return {"agreed": AgreedShare()}

    def initialise(self, hidden: Tensor, labels: Tensor, modules: Mapping[str, Any]) -> None:
        modules["decoder"].gather(hidden, labels)
        modules["decoder"].gathered.fill_(INIT_STEPS)

    def losses(self, step: StepOutputs, context: StepContext) -> dict[str, Tensor]:
        decoder: LabelDecoder = context.modules["decoder"]
        labels, counted = step.batch.labels, step.counted
        if context.step < INIT_STEPS and not context.in_frozen_phase and decoder.gathered < INIT_STEPS:
            decoder.gather(step.hidden, labels)
            return {}
        generator = context.generator("read", labels.device)
        read, hidden = self.reading(step, generator)
        written = decoder(read, hidden, step.hidden, counted)
        losses = {"write": self.weight * F.cross_entropy(written[counted], labels[counted])}
        asked = hidden & counted
        taught, own = written[asked].detach(), step.logits[asked]
        if self.feedback and not context.in_frozen_phase:
            losses["feedback"] = self.feedback * decoder.ahead() * feedback(taught, own, labels[asked])
            decoder.note_lesson(taught, own.detach(), labels[asked])
        decoder.update(taught, own.detach(), labels[asked])
        return losses

    def reading(self, step: StepOutputs, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the decoder reads (batch, words, K), and whether a word's own slot is hidden (batch, words)."""
        labels, device = step.batch.labels, step.batch.labels.device
        count = step.logits.shape[-1]

        def draw(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=device)

        gold = labels.clamp(min=0)
        other = (gold + 1 + (draw(*gold.shape) * (count - 1)).long()) % count
        # Half of the wrong labels are the tagger's best wrong one, so that D often sees the tagger's own mistakes.
        guesses = (step.logits.detach() / LABEL_LM_TEMPERATURE).softmax(-1)
        rival = guesses.scatter(2, gold.unsqueeze(2), -1.0).argmax(-1)
        damage = torch.where(draw(*gold.shape) < 0.5, other, rival)
        damaged = torch.where(draw(*gold.shape) < self.noise, damage, gold)
        own_guess = draw(len(labels), 1, 1) < 0.5
        read = torch.where(own_guess, guesses, F.one_hot(damaged, count).to(guesses.dtype))
        return read, draw(*gold.shape) < self.hide

    def trust(self, taught: StepOutputs, labels: Tensor, context: StepContext) -> Tensor:
        trusted = agreement(taught.hidden, labels, taught.batch.word_mask.bool(), context.modules) > 0.5
        context.modules["agreed"].update(trusted, labels)
        return trusted

    def label_bias(self, probabilities: Tensor, labels: Tensor) -> Tensor | None:
        if not self.bias:
            return None
        count = probabilities.shape[-1]
        frequency = torch.bincount(labels, minlength=count).double() + 1.0
        expected = probabilities.double().sum(0) + 1.0
        return -self.bias * torch.log(expected / frequency).float()

    def phases(self, total: int) -> dict[str, tuple[float, float]]:
        found = {"learns to write": (0.0, 1.0)}
        return found | ({"teaches the tagger while it is ahead": (0.0, 1.0)} if self.feedback else {})

    def second_graph(self, modules: Mapping[str, Any]) -> SecondGraph:
        """From `read` (batch, words, K), `hidden` (batch, words), `states` (batch, words, width) and `counted`."""
        decoder: LabelDecoder = modules["decoder"]
        labels, states = decoder.labels.shape
        flags = torch.tensor([[True, True, False], [True, False, True]])
        read = torch.full((2, 3, labels), 1 / labels)
        return SecondGraph(
            decoder, {"read": read, "hidden": ~flags, "states": torch.ones(2, 3, states), "counted": flags}
        )

    def findings(self, modules: Mapping[str, Any]) -> dict[str, Finding]:
        found: dict[str, Finding] = dict(modules["decoder"].summary())
        if "agreed" in modules:
            found["entities' words of text on which it agrees"] = modules["agreed"].share()
        return found


def feedback(taught: Tensor, own: Tensor, gold: Tensor) -> Tensor:
    """Mean KL(decoder || tagger) over all rows, 0 where the decoder does not give the label a higher probability.

    *Shape:* taught and own logits (n, K), gold (n,).
    """
    loss = F.kl_div(own.log_softmax(-1), taught.detach().softmax(-1), reduction="none").sum(-1)
    return (loss * (chance(taught, gold) > chance(own, gold)).detach()).sum() / max(1, len(gold))


def chance(logits: Tensor, gold: Tensor) -> Tensor:
    """The log-probability of each label. *Shape:* (n, K), (n,) to (n,)."""
    return -F.cross_entropy(logits, gold, reduction="none")


@torch.no_grad()
def agreement(states: Tensor, labels: Tensor, counted: Tensor, modules: Mapping[str, Any]) -> Tensor:
    """The probability that the decoder gives to each label without seeing it, from the labels of every other word.

    One pass hides the even words, one the odd words. 0 where a word does not count. *Shape:* states
    (batch, words, width), labels and counted (batch, words) to (batch, words).
    """
    decoder: LabelDecoder = modules["decoder"]
    gold = labels.clamp(min=0)
    read = F.one_hot(gold, decoder.labels.shape[0])
    even = (torch.arange(gold.shape[1], device=gold.device) % 2 == 0).expand_as(gold)
    first, second = (decoder(read, hidden, states, counted).softmax(-1) for hidden in (even, ~even))
    found = torch.where(even.unsqueeze(2), first, second).gather(2, gold.unsqueeze(2)).squeeze(2)
    return found * counted


class LabelDecoder(nn.Module):
    """One Transformer layer over words that writes labels from labels and encodings."""

    sums: Tensor
    numbers: Tensor
    gathered: Tensor
    lessons: Tensor

    def __init__(self, states: int, labels: int, width: int) -> None:
        super().__init__()
        self.labels = nn.Parameter(torch.randn(labels, states) * 0.02)
        self.dropout = Dropout(STATE_DROPOUT)
        self.states = nn.Linear(states, width)
        self.reads = nn.Linear(states, width, bias=False)
        self.positions = nn.Parameter(torch.randn(LONGEST, width) * 0.02)
        self.layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.1, batch_first=True, norm_first=True)
        self.write = nn.Linear(width, labels)
        self.register_buffer("sums", torch.zeros(labels, states))
        self.register_buffer("numbers", torch.zeros(labels))
        self.register_buffer("gathered", torch.tensor(0))  # steps whose states are in `sums`
        # Running means on hidden slots: log-likelihood of the decoder and of the tagger; accuracy of both, and of
        # always predicting the most frequent label.
        self.recent = RunningMean(5)
        self.register_buffer("lessons", torch.zeros(3))  # hidden slots: all, taught, taught another label than A's

    @torch.no_grad()
    def gather(self, hidden: Tensor, labels: Tensor) -> None:
        """Adds unit-norm states to the centroids of their labels, which become the label embeddings.

        *Shape:* hidden (…, width), labels (…).
        """
        counted = labels != IGNORED
        states = F.normalize(hidden[counted].float(), dim=-1)
        self.sums.index_add_(0, labels[counted], states)
        self.numbers.index_add_(0, labels[counted], torch.ones(len(states), device=states.device))
        seen = self.numbers > 0
        self.labels[seen] = F.normalize(self.sums[seen], dim=-1)
        self.gathered += 1

    def forward(self, read: Tensor, hidden_slot: Tensor, states: Tensor, counted: Tensor) -> Tensor:
        """*Shape:* read (batch, words, K), hidden_slot and counted (batch, words), states (batch, words, states)
        to float32 logits (batch, words, K).
        """
        seen = read * (~hidden_slot).unsqueeze(2)
        places = torch.arange(read.shape[1], device=read.device).clamp(max=LONGEST - 1)
        inputs = (
            self.reads(seen.to(self.labels.dtype) @ self.labels)
            + self.states(self.dropout(states))
            + self.positions[places]
        )
        padding = torch.zeros_like(counted, dtype=inputs.dtype).masked_fill(~counted, -1e4)
        padding = torch.where(counted.any(1, keepdim=True), padding, torch.zeros_like(padding))
        written: Tensor = self.write(self.layer(inputs, src_key_padding_mask=padding))
        return written.float()

    @torch.no_grad()
    def update(self, written: Tensor, own: Tensor, gold: Tensor) -> None:
        """Updates the running means on words whose slot was hidden. *Shape:* logits (n, K) of both, gold (n,)."""
        if not len(gold):
            return
        chances = [chance(values, gold).mean() for values in (written, own)]
        right = [(values.argmax(-1) == gold).float().mean() for values in (written, own)]
        frequent = self.numbers.argmax()
        now = torch.stack([*chances, *right, (gold == frequent).float().mean()])
        self.recent.update(now)

    @torch.no_grad()
    def note_lesson(self, written: Tensor, own: Tensor, gold: Tensor) -> None:
        """Counts the hidden slots that it teaches now, and those where its best label differs from the tagger's.

        *Shape:* logits (n, K) of both, gold (n,).
        """
        teaches = self.ahead() * (chance(written, gold) > chance(own, gold))
        other = teaches * (written.argmax(-1) != own.argmax(-1))
        self.lessons += torch.stack([torch.ones_like(teaches).sum(), teaches.sum(), other.sum()])

    def ahead(self) -> Tensor:
        """1 if its running log-likelihood on hidden slots is higher than the tagger's, otherwise 0. *Shape:* ()."""
        averages = self.recent.averages
        return (averages[0] > averages[1]).float()

    def summary(self) -> dict[str, float]:
        names = ("the label LM", "the tagger", "the most frequent label")
        found = {f"right on hidden slots: {n}": v for n, v in zip(names, self.recent.means()[2:].tolist(), strict=True)}
        asked, taught, other = self.lessons.tolist()
        found["hidden slots that it taught"] = taught / max(1.0, asked)
        return found | {"hidden slots that it taught another label than the tagger's": other / max(1.0, asked)}
