"""A warm start: training continues from the model of an earlier run, instead of from the pretrained encoder alone.

The folder of a trained model (build/model) has all that this takes: the averaged weights, the techniques' modules, the
labels, and an Origin. The encoder's weights are taken whole, the rows of the head and of the modules by the names of
their labels; what the earlier run lacks starts as in a cold start. Counters and running means start anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fpplm_core.data.corpus import training_sentences
from fpplm_core.data.seen import sentence_hashes
from fpplm_core.errors import DataError, shown
from fpplm_core.files import file_sha256, read_record, write_record
from fpplm_core.model.blueprint import BLUEPRINT, EXTRAS, WEIGHTS, Blueprint, read_blueprint
from fpplm_core.model.descriptions import Descriptions, add_descriptions, encode_descriptions
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.tagger import Tagger, initialise, last_layer
from fpplm_core.training.leakage import SEEN, UNREADABLE, load_seen, require_unseen, write_seen
from fpplm_core.training.state import TrainingState
from fpplm_core.training.technique import Axes, Technique

if TYPE_CHECKING:
    from fpplm_core.model.settings import ModelSettings

ORIGIN = "origin.json"
WHERE = "model.start"
COLD = "start cold: model.start null, or with production: fpplm retrain --cold-every 1"


@dataclass(frozen=True)
class Origin:
    """What a trained model was made from, as digests: the pretrained encoder, the tokenizer, its own weights.

    `starts` are the weights of the model that it started from, of the one before that, and so on; none if it was cold.
    """

    encoder_sha256: str
    tokenizer_sha256: str
    model_sha256: str
    starts: Sequence[str] = ()


class Start(NamedTuple):
    """The model of an earlier run; `seen` are the hashes of all sentences that it and its own starts learned from."""

    folder: Path
    origin: Origin
    blueprint: Blueprint
    weights: dict[str, Tensor]
    extras: dict[str, Tensor]
    seen: NDArray[np.int64]


def read_start(folder: Path) -> Start:
    """Raises DataError if the folder does not hold a whole model with its origin."""
    do = "name build/model of a finished run, or set it to null"
    files = [folder / name for name in (WEIGHTS, EXTRAS, BLUEPRINT, ORIGIN, SEEN)]
    if missing := next((file for file in files if not file.is_file()), None):
        if (folder / "manifest.json").exists():
            what = "a bundle, which has no weights to train on"
        else:
            what = "not the model of a finished run" if missing.name != ORIGIN else "made by an earlier fpplm"
        raise DataError(what, where=WHERE, got=f"{folder} without {missing.name}", do=do)
    try:
        weights, extras = (safetensors.torch.load_file(folder / name) for name in (WEIGHTS, EXTRAS))
        origin = read_record(folder / ORIGIN, Origin)
        blueprint = read_blueprint(folder)
        seen = load_seen(folder)
    except UNREADABLE as error:
        got = f"{folder}: {error.what if isinstance(error, DataError) else shown(str(error))}"
        raise DataError("cannot be read", where=WHERE, got=got, do=do) from None
    if weights_sha256(weights) != origin.model_sha256:
        raise DataError("not the weights that its run wrote", where=WHERE, got=str(folder / WEIGHTS), do=do)
    return Start(folder, origin, blueprint, weights, extras, seen)


def require_same_encoder(start: Start, encoder_sha256: str, tokenizer: Path) -> None:
    """Raises DataError if the start was made with another pretrained encoder or another tokenizer."""
    do = f"set model.encoder to that of the start, or {COLD}"
    for name, own, other in (
        ("encoder", encoder_sha256, start.origin.encoder_sha256),
        ("tokenizer", file_sha256(tokenizer), start.origin.tokenizer_sha256),
    ):
        if own != other:
            got = f"{start.folder}: sha256 {other[:12]} instead of {own[:12]}"
            raise DataError(f"made with another {name}", where=WHERE, got=got, do=do)


def require_unseen_by_start(start: Start, corpus: Path) -> None:
    """Raises DataError if the start learned from sentences of dev or test that the training data here lack."""
    do = f"start from a model that has not seen them, or {COLD}"
    require_unseen(start.seen, corpus, where=WHERE, name=str(start.folder), do=do)


def untrained_tagger(
    encoder: nn.Module,
    blueprint: Blueprint,
    settings: ModelSettings,
    seed: int,
    descriptions: Descriptions,
    start: Start | None,
) -> Tagger:
    """The tagger before the first step, with its whole vocabulary: the pretrained encoder, or the weights of `start`.

    Rows of the head that the start lacks are random, and hold the descriptions of their types if there are any. Raises
    DataError if the weights of the two differ in names or shapes, but for the labels.
    """
    tagger = initialise(encoder, blueprint, settings, seed)
    if start:
        load_weights(start, tagger)
    known = start.blueprint.labels if start else ()
    fresh = {label: row for row, label in enumerate(blueprint.labels) if label not in known}
    if descriptions and fresh:
        add_descriptions(tagger.head, fresh, encode_descriptions(tagger.encoder, descriptions))
    return tagger


@torch.no_grad()
def load_weights(start: Start, tagger: Tagger) -> None:
    """Copies the encoder, and the head by the names of its labels. Raises DataError as `untrained_tagger` does."""
    own = tagger.state_dict()
    last = {*last_layer(tagger.head).parameters()}
    by_label = {name for name, parameter in tagger.named_parameters() if parameter in last}
    same = own.keys() == start.weights.keys() and tagger.blueprint.first_shape == start.blueprint.first_shape
    for name, tensor in own.items() if same else ():
        rows = name in by_label
        axes, others = ((tagger.blueprint.labels,), (start.blueprint.labels,)) if rows else ((), ())
        same &= copy_by_name(tensor, axes, start.weights[name], others)
    if not same:
        do = f"set model.encoder, model.head and model.shapes as for the start, or {COLD}"
        raise DataError("its weights have other names or shapes", where=WHERE, got=str(start.folder), do=do)


@torch.no_grad()
def load_modules(start: Start, state: TrainingState, techniques: Mapping[str, Technique]) -> None:
    """Copies the parameters of the techniques' modules that the start has with fitting shapes, and their averages."""
    parameters = dict(state.technique_modules.named_parameters())
    tensors = {name: tensor.data for name, tensor in state.technique_modules.state_dict(keep_vars=True).items()}
    for technique_name, technique in techniques.items():
        axes, others = technique.label_axes(state.model.blueprint), technique.label_axes(start.blueprint)
        for name, tensor in tensors.items():
            module, _, own = name.partition(".")
            if module == technique_name and name in start.extras and (name in parameters or own in axes):
                copy_by_name(tensor, axes.get(own, ()), start.extras[name], others.get(own, ()))
    for name, parameter in parameters.items():
        state.average[f"extras.{name}"].copy_(parameter)


def copy_by_name(target: Tensor, names: Axes, source: Tensor, others: Axes) -> bool:
    """Copies the rows (and columns) of `source` to those of `target` that have the same names; the rest stays.

    `names` and `others` are those along the first axes of each. Returns whether the shapes fit: the numbers of names,
    and the other axes.
    """
    fits = all(
        tuple(map(len, own)) == tuple(tensor.shape[: len(own)]) for tensor, own in ((target, names), (source, others))
    )
    if not fits or target.shape[len(names) :] != source.shape[len(others) :] or len(names) != len(others):
        return False
    here, there = list[list[int]](), list[list[int]]()
    for own, other in zip(names, others, strict=True):
        places = {name: place for place, name in enumerate(other)}
        common = [(place, places[name]) for place, name in enumerate(own) if name in places]
        here.append([place for place, _ in common])
        there.append([place for _, place in common])
    chosen = source[tuple(map(torch.from_numpy, np.ix_(*there)))] if there else source
    if here:
        target[tuple(map(torch.from_numpy, np.ix_(*here)))] = chosen.to(target)
    else:
        target.copy_(chosen)
    return True


def write_origin(
    folder: Path, corpus: Path, tokenizer: Path, start: Start | None, *, encoder_sha256: str, model_sha256: str
) -> None:
    """Writes a trained model's Origin, and the hashes of its training sentences with those of its starts."""
    starts = (start.origin.model_sha256, *start.origin.starts) if start else ()
    seen = sentence_hashes(training_sentences(corpus))
    if start:
        seen = np.union1d(seen, start.seen)
    write_seen(folder, seen)
    write_record(folder / ORIGIN, Origin(encoder_sha256, file_sha256(tokenizer), model_sha256, starts))


def new_labels(start: Start, blueprint: Blueprint) -> list[str]:
    """The labels that the start does not know."""
    return [label for label in blueprint.labels if label not in start.blueprint.labels]
