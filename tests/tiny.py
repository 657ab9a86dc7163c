"""A tiny tagger, batches of legal labels and short runs, for the tests of techniques."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors.torch
import torch
from torch import nn

from fpplm_core.model import pretrained
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.tagger import Tagger, initialise
from fpplm_core.params import Params, load
from fpplm_core.settings import read_yaml
from fpplm_core.tagging.schemes import label_list
from fpplm_core.tagging.spans import Span, tags_from_spans
from fpplm_core.training import technique as techniques
from fpplm_core.training.batch import IGNORED, Batch
from fpplm_core.training.loop import train_steps
from fpplm_core.training.schedules import linear
from fpplm_core.training.state import LoopSettings, TrainingState, initial_state
from fpplm_core.training.technique import StepContext, StepOutputs, Technique

FILE = Path(__file__).parents[1] / "params.yaml"
MODEL = load(FILE).model
SECTION = load(FILE).technique.model_dump()
LABELS = label_list(["X", "Y"])
PAIRS = torch.zeros(len(LABELS), len(LABELS))  # nothing counted
FIRST_SHAPE = 2
BLUEPRINT = Blueprint(LABELS, FIRST_SHAPE, 4)
SETTINGS = LoopSettings(
    seed=3,
    steps=12,
    lr=1e-2,
    head_lr=2e-2,
    layer_decay=0.5,
    schedule="linear",
    warmup=0.25,
    weight_decay=0.3,
    ema=0.7,
)


T = TypeVar("T", bound=Technique)


def technique(kind: type[T], **values: Any) -> T:
    """A technique as in params.yaml, some of its knobs with other values."""
    name = kind.__module__.split(".")[-2]
    return kind(**{**SECTION[name], **values})


def build(active: list[str], **blocks: dict[str, Any]) -> dict[str, Technique]:
    """These techniques as in params.yaml, some with other values. Raises ParamsError as the stages do."""
    own = {**SECTION, **{name: {**SECTION[name], **block} for name, block in blocks.items()}}
    params = Params.parse({**read_yaml(FILE), "technique": {**own, "active": active}}, "params.yaml")
    return techniques.build(params.technique.blocks())


@cache
def _encoder(folder: Path) -> nn.Module:
    return pretrained.load_encoder(str(folder), None)


def tagger(folder: Path) -> Tagger:
    """Equal taggers, each with weights of its own."""
    return initialise(copy.deepcopy(_encoder(folder)), BLUEPRINT, MODEL, seed=1)


def normal(seed: int, *shape: int, scale: float = 1.0) -> torch.Tensor:
    """Numbers of a normal distribution that depend on the seed alone."""
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def legal_labels(random: np.random.Generator, words: int, kinds: str = "XY") -> list[str]:
    """A random sequence of BIOES labels without a fault."""
    spans, word = [], 0
    while word < words:
        end = min(words, word + int(random.integers(1, 4)))
        if random.random() < 0.6:
            spans.append(Span(word, end, str(random.choice(list(kinds)))))
        word = end
    return tags_from_spans(spans, words, "BIOES")


def label_rows(seed: int, sizes: list[int], labels: list[str] = LABELS, kinds: str = "XY") -> torch.Tensor:
    """Legal labels of several windows, IGNORED behind each. *Shape:* (batch, words)."""
    random = np.random.default_rng(seed)
    rows = torch.full((len(sizes), max(sizes)), IGNORED)
    for row, words in enumerate(sizes):
        rows[row, :words] = torch.tensor([labels.index(tag) for tag in legal_labels(random, words, kinds)])
    return rows


def batch_of(step: int) -> Batch:
    """Three windows of random pieces and legal labels; what a step gets depends on its number alone."""
    generator = torch.Generator().manual_seed(step)
    rows, pieces = 3, 14
    ids = torch.randint(5, 100, (rows, pieces), generator=generator)
    mask = (torch.arange(pieces) < torch.tensor([[14], [9], [12]])).long()
    types = torch.randint(FIRST_SHAPE, FIRST_SHAPE + 7, (rows, pieces), generator=generator)
    first = torch.tensor([[1, 2, 4, 5, 8, 9, 11]]).expand(rows, -1)
    labels = label_rows(step, [7, 4, 6])
    owned = (labels != IGNORED).long()
    return Batch(ids * mask, mask, types * mask, first * owned, owned, labels)


def changed(settings: LoopSettings = SETTINGS, **values: Any) -> LoopSettings:
    return LoopSettings(**{**vars(settings), **values})


def start(
    folder: Path, active: Mapping[str, Technique] | None = None, settings: LoopSettings = SETTINGS
) -> TrainingState:
    return initial_state(tagger(folder), active or {}, settings)


def run(
    folder: Path, active: Mapping[str, Technique] | None = None, settings: LoopSettings = SETTINGS
) -> TrainingState:
    """The end of a run."""
    state = start(folder, active, settings)
    for _ in train_steps(state, batch_of, active or {}, settings):
        pass
    return state


def saved(state: TrainingState) -> bytes:
    """All of a run's state as the file that a checkpoint is."""
    return safetensors.torch.save({name: tensor.contiguous() for name, tensor in state.tensors().items()})


def digest(state: TrainingState) -> str:
    return hashlib.sha256(saved(state)).hexdigest()


def weights(state: TrainingState) -> bytes:
    """What a run leaves of the tagger: its weights, and their average."""
    kept = {name: value.contiguous() for name, value in state.tensors().items() if "extras." not in name}
    return safetensors.torch.save({name: value for name, value in kept.items() if not name.startswith("optimizer.")})


def step_of(model: Tagger, batch: Batch) -> StepOutputs:
    """What techniques see of a step at which no technique changed anything."""
    hidden = model.words(batch.ids, batch.mask, batch.types, batch.first_pieces)
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    return StepOutputs(model, batch, batch, hidden, model.classify(hidden), average)


def context_of(technique: Technique, model: Tagger, step: int = 0, total: int = 12, seed: int = 3) -> StepContext:
    """The context of a technique with new modules."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        modules = technique.modules(model, PAIRS)
    return StepContext(step, total, seed, "own", linear((step + 0.5) / total, 0.25), modules)
