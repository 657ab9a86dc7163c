"""Taggers trained on few sentences of a corpus.

The encoder's lower blocks are frozen, so that their states are computed once: a training takes seconds.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fpplm_core.data.formats import get
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.model import pretrained
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.tagger import Tagger, batch_logits, initialise
from fpplm_core.model.windows import load_window_builder
from fpplm_core.params import load
from fpplm_core.tagging.batches import Batches, batch_stream, collate
from fpplm_core.tagging.decoder import Logits, SpanDecoder
from fpplm_core.tagging.schemes import INNER_SCHEME, label_list
from fpplm_core.tagging.spans import Span, spans_from_tags, tags_from_spans, types_of
from fpplm_core.tagging.windows import Window, WindowBuilder
from fpplm_core.tagging.word_logits import batch_windows, word_logits
from fpplm_core.training.averaging import averaged
from fpplm_core.training.data import TrainingData
from fpplm_core.training.frozen import train_frozen
from fpplm_core.training.history import TrainingHistory
from fpplm_core.training.run import prepare_run, train_epochs
from fpplm_core.training.selection import Dev, evaluate_on_dev

STEPS = 150  # of a training, unless a study has another number
FROZEN = 4  # the lower blocks of the encoder, likewise
PIECES = 1024  # of a batch without a gradient


class States(nn.Module):
    """Stands in for the embeddings and the frozen blocks: a piece's id is the row of its state in a table."""

    def __init__(self, table: Tensor, types: int) -> None:
        super().__init__()
        self.table = table
        self.token_type_embeddings = nn.Embedding(types, table.shape[1])
        nn.init.zeros_(self.token_type_embeddings.weight)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, **_: Any) -> Tensor:
        states: Tensor = self.table[input_ids] + self.token_type_embeddings(token_type_ids)
        return states


class Split:
    """The sentences of a split, their gold spans and windows, whose pieces are numbered from `first`."""

    def __init__(self, path: Path, builder: WindowBuilder) -> None:
        self.sentences: list[Sentence] = list(get("conll").read(path, Options()))
        self.words = [sentence.words for sentence in self.sentences]
        self.gold: list[list[Span]] = [spans_from_tags(sentence.tags) for sentence in self.sentences]
        self.windows: list[Window] = builder.windows(self.words)

    def replace_pieces(self, encoder: Any, first: int) -> list[Tensor]:
        """The states of the frozen blocks, by window; the windows' pieces become their rows, counted from `first`."""
        found: dict[int, Tensor] = {}
        for batch in batch_windows(range_of(self.windows), PIECES):
            ids, mask, *_ = map(torch.from_numpy, collate(batch))
            with torch.inference_mode():
                states = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            found |= {window.sentence: row[: len(window.ids)] for window, row in zip(batch, states, strict=True)}
        ordered = [found[number] for number in range(len(self.windows))]
        for number, row in enumerate(ordered):
            self.windows[number] = replace(self.windows[number], ids=list(range(first, first + len(row))))
            first += len(row)
        return ordered

    def of(self, chosen: Sequence[int]) -> list[Window]:
        """The windows of some sentences, numbered in this order."""
        place = {number: row for row, number in enumerate(chosen)}
        own = (window for window in self.windows if window.sentence in place)
        return [replace(window, sentence=place[window.sentence]) for window in own]


def range_of(windows: Sequence[Window]) -> list[Window]:
    """The windows numbered by their place."""
    return [replace(window, sentence=number) for number, window in enumerate(windows)]


class Trained(NamedTuple):
    model: Tagger
    decoder: SpanDecoder
    dev_f1: float


class Study:
    """A corpus, and what all trainings on it share."""

    def __init__(self, folder: Path, frozen: int = FROZEN, steps: int = STEPS) -> None:
        self.params, self.steps = load(), steps
        settings = self.params.model
        builder, mask_id = load_window_builder(settings, 256, 64, 0)
        self.train, self.dev, self.test = (
            Split(folder / f"{name}.conll", builder) for name in ("train", "dev", "test")
        )
        labels = label_list(types_of(sentence.tags for sentence in self.train.sentences), INNER_SCHEME)
        mask = builder.filler if mask_id is None else mask_id
        self.blueprint = Blueprint(labels, builder.first_shape_type, mask, [])
        self.encoder = pretrained.load_encoder(settings.encoder, settings.revision).eval()
        blocks = self.encoder.encoder.layer
        self.encoder.encoder.layer, self.blocks = blocks[:frozen], blocks[frozen:]
        found: list[Tensor] = []
        for split in (self.train, self.dev, self.test):
            found += split.replace_pieces(self.encoder, sum(map(len, found)))
        self.table = torch.cat(found)

    def upper_encoder(self) -> Any:
        """The encoder's upper blocks, which read States."""
        encoder = copy.copy(self.encoder)
        encoder._modules = dict(self.encoder._modules)
        encoder.config = copy.copy(self.encoder.config)
        encoder.config.num_hidden_layers = len(self.blocks)
        encoder.embeddings = States(self.table, self.blueprint.first_shape or 1)
        encoder.encoder = copy.copy(self.encoder.encoder)
        encoder.encoder._modules = {"layer": copy.deepcopy(self.blocks)}
        return encoder

    def fit(
        self,
        chosen: Sequence[int],
        seed: int,
        begin: Callable[[Tagger], None] | None = None,
        active: Sequence[str] = (),
    ) -> Trained:
        """A tagger trained on these sentences of train, with the techniques `active`; `begin` changes its start."""
        index = {label: number for number, label in enumerate(self.blueprint.labels)}
        rows = [
            [index[tag] for tag in tags_from_spans(self.train.gold[n], len(self.train.words[n]), INNER_SCHEME)]
            for n in chosen
        ]
        windows = self.train.of(chosen)
        settings = self.params.train.model_copy(update={"seed": seed})
        lengths = [len(window.ids) for window in windows]
        data = TrainingData(
            self.blueprint,
            windows,
            [[rows[window.sentence][word] for word in window.owned_words] for window in windows],
            [[]] * len(windows),
            [Batches(islice(batch_stream(lengths, settings.batch_pieces, seed), self.steps))],
            Dev(self.dev.windows, [len(words) for words in self.dev.words], self.dev.gold),
        )
        model = initialise(self.upper_encoder(), self.blueprint, self.params.model, seed)
        if begin:
            begin(model)
        technique = self.params.technique.model_copy(update={"active": list(active)})
        run, history = (
            prepare_run(model, data, settings, technique, bfloat16=False, encoder_sha256="", start=None),
            TrainingHistory(),
        )
        for _ in (*train_frozen(run, history, Path()), *train_epochs(run, history, threading.Event())):
            pass
        with averaged(run.state.average, model):
            dev = evaluate_on_dev(run.state, run.techniques, data.dev, settings, bfloat16=False)
        for name, parameter in model.named_parameters():
            parameter.data = run.state.average[name]
        return Trained(model.eval(), dev.decoder, dev.f1)


def logits_of(model: Tagger, windows: Sequence[Window], words: Sequence[Sequence[str]]) -> Logits:
    return word_logits(windows, [len(row) for row in words], PIECES, batch_logits(model))
