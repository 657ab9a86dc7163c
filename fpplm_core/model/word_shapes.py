"""Word shapes as token types, for encoders that lower-case their input."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fpplm_core.errors import EncoderError, ParamsError
from fpplm_core.model import pretrained
from fpplm_core.tagging.windows import WORD_SHAPES

FIRST_SHAPE = "fpplm_first_shape"  # key of config.json in an encoder that was pretrained with shapes


def add_shapes(encoder: nn.Module, first_shape: int) -> None:
    """Adds a token type for each word shape, with the row of type 0: at first the encoder computes the same."""
    table = _type_table(encoder)
    if table is None:
        raise EncoderError(
            "no table of token types found", where="model.shapes", got=type(encoder).__name__, do="set it to off"
        )
    old = table.weight.detach()
    if len(old) == first_shape + len(WORD_SHAPES):
        return  # pretrained with shapes, by `fpplm pretrain`
    table.weight = nn.Parameter(torch.cat([old[:first_shape], old[:1].expand(len(WORD_SHAPES), -1)]))
    table.num_embeddings = len(table.weight)


def _type_table(encoder: nn.Module) -> nn.Embedding | None:
    found = getattr(getattr(encoder, "embeddings", None), "token_type_embeddings", None)
    return found if isinstance(found, nn.Embedding) else None


def choose_shapes(shapes: str, config: Any, tokenizer: Any) -> int | None:
    """The token type of the first word shape, or None if the encoder of this configuration does not get word shapes.

    Raises ParamsError if `shapes` (on, off, auto) is on and the encoder has no token types.
    """
    count = getattr(config, FIRST_SHAPE, None) or pretrained.type_count(config)
    if shapes == "on" and not count:
        raise ParamsError(
            "the encoder has no token types to carry shapes", where="model.shapes", got="on", do="set it to auto or off"
        )
    wanted = shapes == "on" or (shapes == "auto" and pretrained.lower_cases(tokenizer))
    print(f"word shapes: {'on' if wanted and count else 'off'}")
    return count if wanted and count else None
