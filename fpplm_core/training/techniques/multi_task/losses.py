"""The losses of multi-task training, each with the parameters of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fpplm_core.model import pretrained
from fpplm_core.model.tagger import Tagger
from fpplm_core.tagging.schemes import split_tag
from fpplm_core.tagging.schemes import transitions as legal_pairs
from fpplm_core.tagging.spans import types_of_labels
from fpplm_core.training.batch import IGNORED
from fpplm_core.training.technique import StepOutputs

FORBIDDEN = -1e4  # finite: gradients of −inf are no numbers
PREFIXES = "OBIES"
HIDDEN_WORDS = 0.15
SHRINK = 5.0  # pairs added to the observed and to the expected count
MANY_LABELS = 100  # with more, a table of all pairs for each word would take gigabytes


class Pairs(nn.Module):
    """Scores A (K, K) of adjacent labels, which start at `start`, and the loss that trains them."""

    legal: Tensor

    def __init__(self, labels: Sequence[str], start: Tensor) -> None:
        super().__init__()
        self.register_buffer("legal", torch.from_numpy(legal_pairs(labels)[:-1, :-1].copy()), persistent=False)
        self.scores = nn.Parameter(start.masked_fill(~self.legal, 0.0))

    def forward(self, logits: Tensor, labels: Tensor, kind: str) -> Tensor:
        """Mean loss over adjacent words (pair, 1 for a uniform guess), or words (crf, 1 if all paths were legal too).

        *Shape:* as `StepOutputs`.
        """
        scores = self.scores.masked_fill(~self.legal, FORBIDDEN)
        if kind == "crf":
            return chain_loss(logits, labels, scores) / uniform_loss(len(scores))
        return pair_loss(logits, labels, scores) / uniform_loss(int(self.legal.sum()))


def uniform_loss(count: int) -> float:
    """The cross-entropy of a uniform guess; that of two classes where there is only one, whose cross-entropy is 0."""
    return math.log(max(2, count))


def log_odds(pairs: Tensor) -> Tensor:
    """log p(a, b) / (p(a) p(b)) of counted label pairs, shrunk towards 0.

    It is the log of the posterior mean (n + s) / (e + s) of n / e, where n is the count of a pair, e the count expected
    of independent labels, and the prior is Gamma(s, s); 0 where nothing was counted. With these scores, states that
    carry no information (z = log p) give each pair its share in train. *Shape:* (K, K) to (K, K).
    """
    expected = pairs.sum(1, keepdim=True) * pairs.sum(0, keepdim=True) / pairs.sum().clamp(min=1)
    return torch.log((pairs + SHRINK) / (expected + SHRINK))


def pair_loss(logits: Tensor, labels: Tensor, scores: Tensor) -> Tensor:
    """−mean log p(y_t, y_t+1) over adjacent words that both count. *Shape:* logits (batch, words, K), scores (K, K)."""
    both = (labels[:, :-1] != IGNORED) & (labels[:, 1:] != IGNORED)
    first, second = logits[:, :-1][both], logits[:, 1:][both]
    gold = labels[:, :-1][both], labels[:, 1:][both]
    if len(scores) > MANY_LABELS:
        own = (table.gather(1, label.unsqueeze(1)) for table, label in zip((first, second), gold, strict=True))
        onward = log_sums(second, *exponentials(scores))
        total = torch.logsumexp(first + onward, 1).sum() - torch.cat([*own]).sum() - scores[gold].sum()
    else:
        joint = first.unsqueeze(2) + second.unsqueeze(1) + scores
        total = F.cross_entropy(joint.flatten(1), gold[0] * len(scores) + gold[1], reduction="sum")
    return total / max(1, len(gold[0]))


def chain_loss(logits: Tensor, labels: Tensor, scores: Tensor) -> Tensor:
    """−Σ log p(y of a row) / words that count, which come first in each row; in float32. *Shape:* as `pair_loss`."""
    counted = labels != IGNORED
    gold = labels.where(counted, torch.zeros_like(labels))
    path = logits.gather(2, gold.unsqueeze(2)).squeeze(2)
    path = path + F.pad(scores[gold[:, :-1], gold[:, 1:]], (1, 0))
    reached, table = logits[:, 0], exponentials(scores.T) if len(scores) > MANY_LABELS else None
    for word in range(1, logits.shape[1]):
        onward = log_sums(reached, *table) if table else torch.logsumexp(reached.unsqueeze(2) + scores, dim=1)
        reached = torch.where(counted[:, word, None], onward + logits[:, word], reached)
    return (torch.logsumexp(reached, dim=1) * counted[:, 0] - (path * counted).sum(1)).sum() / counted.sum()


def exponentials(scores: Tensor) -> tuple[Tensor, Tensor]:
    """exp(scores[a, b] − most[a]), and most[a], the largest of scores[a]. *Shape:* (K, K) to (K, K) and (K,)."""
    most = scores.detach().amax(1)
    return (scores - most.unsqueeze(1)).exp(), most


def log_sums(values: Tensor, weights: Tensor, row: Tensor) -> Tensor:
    """log Σ_b exp(scores[a, b] + values[n, b]) for each n and a, as a product of matrices in float32.

    `weights` and `row` are the `exponentials` of the scores. Terms that are e^87 times smaller than the largest may be
    missing. *Shape:* values and result (n, K).
    """
    with torch.autocast(values.device.type, enabled=False):
        values = values.float()
        most = values.detach().amax(1, keepdim=True)
        sums = (values - most).exp() @ weights.T
        return sums.clamp(min=torch.finfo(sums.dtype).tiny).log() + most + row


def neighbour_loss(guesses: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the labels before and after each word. *Shape:* guesses (batch, words, 2 K)."""
    before, after = guesses.chunk(2, dim=-1)
    nothing = torch.full_like(labels[:, :1], IGNORED)
    wanted = torch.cat([nothing, labels[:, :-1]], 1), torch.cat([labels[:, 1:], nothing], 1)
    losses = []
    for guess, neighbours in zip((before, after), wanted, strict=True):
        target = neighbours.where(labels != IGNORED, nothing)
        total = F.cross_entropy(guess.flatten(0, 1), target.flatten(), ignore_index=IGNORED, reduction="sum")
        losses.append(total / (target != IGNORED).sum().clamp(min=1))
    return torch.stack(losses).mean()


class Presence(nn.Module):
    """Which entity types a window's words hold, seen through attention pooling."""

    of_label: Tensor

    def __init__(self, width: int, labels: Sequence[str]) -> None:
        super().__init__()
        types, of_label = types_of_labels(labels)
        self.query = nn.Linear(width, 1)
        self.head = nn.Linear(width, len(types))
        table = F.one_hot(torch.tensor(of_label), len(types) + 1)[:, 1:].float()  # O has no type
        self.register_buffer("of_label", table, persistent=False)

    def forward(self, hidden: Tensor, labels: Tensor) -> Tensor:
        if not self.head.out_features:  # no types
            return hidden.new_zeros(())
        counted = labels != IGNORED
        weights = self.query(hidden).float().squeeze(2).masked_fill(~counted, FORBIDDEN).softmax(1)
        guesses = self.head((weights.unsqueeze(2) * hidden).sum(1)).float()
        present = (self.of_label[labels.clamp(min=0)] * counted.unsqueeze(2)).amax(1)
        seen = counted.any(1)
        return F.binary_cross_entropy_with_logits(guesses[seen], present[seen]) / math.log(2)


class PrefixAndType(nn.Module):
    """A label taken apart: its prefix alone, and its type alone."""

    prefix: Tensor
    kind: Tensor

    def __init__(self, width: int, labels: Sequence[str]) -> None:
        super().__init__()
        types, of_label = types_of_labels(labels)
        self.sizes = [len(PREFIXES), len(types) + 1]
        self.head = nn.Linear(width, sum(self.sizes))
        prefixes = [PREFIXES.index(split_tag(label)[0]) for label in labels]
        self.register_buffer("prefix", torch.tensor(prefixes), persistent=False)
        self.register_buffer("kind", torch.tensor(of_label), persistent=False)

    def forward(self, hidden: Tensor, labels: Tensor) -> Tensor:
        counted = labels != IGNORED
        chosen = labels[counted]
        prefix, kind = self.head(hidden[counted]).float().split(self.sizes, dim=-1)
        losses = [
            F.cross_entropy(guess, table[chosen]) / uniform_loss(size)
            for guess, table, size in zip((prefix, kind), (self.prefix, self.kind), self.sizes, strict=True)
        ]
        return torch.stack(losses).mean()


def second_loss(guesses: Tensor, labels: Tensor | None) -> Tensor:
    """Mean cross-entropy of the second task, 1 for a uniform guess; 0 where a batch has none of it."""
    if labels is None:
        return guesses.sum() * 0.0
    total = F.cross_entropy(guesses.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")
    return total / ((labels != IGNORED).sum().clamp(min=1) * uniform_loss(guesses.shape[-1]))


class MaskedLm(nn.Module):
    """The encoder's pretrained head for hidden pieces. Neither trained nor saved: a list hides it from both."""

    def __init__(self, model: Tagger) -> None:
        super().__init__()
        self.head = [pretrained.masked_lm_head(model.encoder)]

    def forward(self, step: StepOutputs, generator: torch.Generator) -> Tensor:
        """Mean cross-entropy at the hidden first pieces of words, 1 for a uniform guess."""
        clean = step.clean
        chosen = torch.rand(clean.first_pieces.shape, generator=generator, device=clean.ids.device) < HIDDEN_WORDS
        rows, words = (chosen & (clean.word_mask == 1)).nonzero(as_tuple=True)
        if not len(rows):
            return step.hidden.sum() * 0.0
        places = clean.first_pieces[rows, words]
        ids = clean.ids.index_put((rows, places), clean.ids.new_tensor(step.model.blueprint.mask_id))
        states = step.model.encode(ids, clean.mask, clean.types)[rows, places]
        guesses = self.head[0].to(states.device)(states).float()
        return F.cross_entropy(guesses, step.model.pretrained_ids(clean.ids[rows, places])) / math.log(
            guesses.shape[-1]
        )


class Anchor(nn.Module):
    """The encoder's weights before the first step; a resumed run makes them anew, so they are not saved."""

    def __init__(self, model: Tagger) -> None:
        super().__init__()
        self.names = [name for name, _ in model.named_parameters() if name.startswith("encoder.")]
        for index, name in enumerate(self.names):
            self.register_buffer(f"w{index}", model.get_parameter(name).detach().clone(), persistent=False)

    def weights(self, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
        return {name: self.get_buffer(f"w{index}") for index, name in enumerate(self.names) if name in parameters}
