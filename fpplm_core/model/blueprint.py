"""The parts of a tagger besides its encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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
