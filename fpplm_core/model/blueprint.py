"""What a tagger is made of, beside its encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Blueprint:
    """What a tagger is made of, beside its encoder: everything that its weights do not say.

    `labels` are its K labels; `first_shape` is the token type of the first of `encoding.SHAPES`, None where the
    encoder is not told about shapes; `mask_id` is the piece that stands for a hidden word. `second` are the labels of
    a second task that training learns beside the first; none of it is in the tagger.
    """

    labels: Sequence[str]
    first_shape: int | None
    mask_id: int
    second: Sequence[str] = ()
