"""The parts of a tagger besides its encoder, and the files of the folder that holds a trained one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpplm_core.files import read_record
from fpplm_core.tagging.decoder import SpanDecoder

WEIGHTS = "model.safetensors"
EXTRAS = "extras.safetensors"  # weights of the techniques' modules
BLUEPRINT, TRANSITIONS = "blueprint.json", "transitions.npy"


@dataclass(frozen=True)
class Blueprint:
    """The parts of a tagger besides its encoder and weights.

    `labels` are its K labels; `first_shape` is the token type of the first of `WORD_SHAPES`, None if the encoder does
    not get word shapes; `mask_id` is the piece that stands for a hidden word. `second` are the labels of a second task
    that is learned beside the first; the tagger has no part of it.
    """

    labels: Sequence[str]
    first_shape: int | None
    mask_id: int
    second: Sequence[str] = ()


def read_blueprint(model: Path) -> Blueprint:
    """The blueprint in the folder of a trained tagger. Raises DataError if it is missing."""
    return read_record(model / BLUEPRINT, Blueprint)


def load_decoder(model: Path) -> SpanDecoder:
    """The decoder in the folder of a trained tagger. Raises DataError if its blueprint is missing."""
    return SpanDecoder(read_blueprint(model).labels, np.load(model / TRANSITIONS))
