"""Trains one encoder on several corpora with different labels: a head for each corpus, and one corpus in each step.

With a head of its own, a corpus says nothing about types that it does not annotate: a place is O where only diseases
are annotated, and that contradicts no other corpus. The heads are thrown away; the encoder remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.tagger import Tagger, initialise, new_head
from fpplm_core.model.word_shapes import FIRST_SHAPE
from fpplm_core.tagging.batches import batch_stream
from fpplm_core.training.batch import Batch
from fpplm_core.training.data import TrainingData, make_batch
from fpplm_core.training.randomness import derive_seed, seeded

if TYPE_CHECKING:
    from fpplm_core.model.settings import ModelSettings

BALANCE = 0.5  # exponent of a corpus's number of pieces in its probability: 1 = by size, 0 = all alike


class CorpusHeads(nn.Module):
    """A head for each corpus, of which one is chosen."""

    def __init__(self, heads: Sequence[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.chosen = 0

    def forward(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.heads[self.chosen](hidden)
        return logits


class Step(NamedTuple):
    """The corpus of a step, and the rows of its windows."""

    corpus: int
    rows: list[int]


def draw_steps(lengths: Sequence[Sequence[int]], budget: int, count: int, seed: int) -> list[Step]:
    """The steps of a pretraining; `lengths` are the pieces of each window, by corpus.

    A corpus of n pieces is drawn with a probability in proportion to n ** BALANCE; its own windows come in rounds.
    """
    sizes = np.array([sum(own) for own in lengths], dtype=np.float64) ** BALANCE
    random = np.random.default_rng(derive_seed(seed, 0, "corpora"))
    streams = [batch_stream(own, budget, derive_seed(seed, n, "windows")) for n, own in enumerate(lengths)]
    return [Step(n, next(streams[n])) for n in random.choice(len(sizes), count, p=sizes / sizes.sum()).tolist()]


def tagger_of_corpora(
    encoder: nn.Module, blueprints: Sequence[Blueprint], settings: ModelSettings, seed: int
) -> Tagger:
    """A tagger with a head for each blueprint, the first one chosen; the heads depend on `seed` alone."""
    tagger = initialise(encoder, blueprints[0], settings, seed)
    heads = []
    for number, blueprint in enumerate(blueprints):
        with seeded(torch.device("cpu"), derive_seed(seed, number, "head")):
            heads.append(new_head(tagger.width, len(blueprint.labels), settings))
    tagger.head = CorpusHeads(heads)
    return tagger


def choose_corpus(tagger: Tagger, number: int, blueprint: Blueprint) -> None:
    """Lets the tagger predict the labels of this corpus."""
    cast(CorpusHeads, tagger.head).chosen = number
    tagger.blueprint = replace(tagger.blueprint, labels=blueprint.labels)


def batch_of(step: Step, tagger: Tagger, corpora: Sequence[TrainingData]) -> Batch:
    """The batch of a step; chooses its corpus."""
    data = corpora[step.corpus]
    choose_corpus(tagger, step.corpus, data.blueprint)
    return make_batch(data, step.rows)


def mark_shapes(encoder: nn.Module, first_shape: int | None) -> None:
    """Notes in the encoder's configuration that its last token types are word shapes."""
    if first_shape is not None:
        config = cast(Any, encoder).config
        setattr(config, FIRST_SHAPE, first_shape)
        config.type_vocab_size = len(cast(Any, encoder).embeddings.token_type_embeddings.weight)
