"""The meaning of labels before training: rows of the head that start at the encodings of descriptions.

"names of persons" and "names of places" lie apart in the space of a pretrained encoder, and persons and places lie on
the same sides. After label semantics for few-shot tagging (2203.08985), where labels are encoded at inference too; here
they only choose where training starts. What all descriptions have in common is subtracted, because it says nothing
about a word: descriptions tell types from each other, not entities from other words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fpplm_core.model.mode import evaluating
from fpplm_core.model.tagger import last_layer
from fpplm_core.tagging.schemes import split_tag
from fpplm_core.tagging.windows import Window

STRENGTH = 1.0  # norm of what a description adds to a row, in norms of the random row that it is added to

Descriptions = Mapping[str, Sequence[Window]]  # the windows of the description of each type


@torch.no_grad()
def encode_descriptions(encoder: nn.Module, descriptions: Descriptions) -> dict[str, Tensor]:
    """The mean state (width,) of the words of each description, by type."""
    found = {}
    with evaluating(encoder):
        for kind, windows in descriptions.items():
            states = []
            for window in windows:
                ids = torch.tensor([window.ids])
                output = cast(Any, encoder)(input_ids=ids, attention_mask=torch.ones_like(ids))
                states.append(output.last_hidden_state[0, window.first_pieces])
            found[kind] = torch.cat(states).mean(0)
    return found


@torch.no_grad()
def add_descriptions(head: nn.Module, rows: Mapping[str, int], encodings: Mapping[str, Tensor]) -> None:
    """Adds the direction in which a type's encoding differs from the others to the row of each of its labels in `rows`.

    The random rows stay, and tell the labels of a type (B-, I-, E-, S-) from each other. In an mlp head, the encodings
    pass through its first layer.
    """
    last = last_layer(head)
    states = torch.stack(list(encodings.values()))
    if isinstance(head, nn.Sequential):
        with evaluating(head):
            states = head[:-1](states)
    directions = dict(zip(encodings, F.normalize(states - states.mean(0), dim=1), strict=True))
    for label, number in rows.items():
        if (direction := directions.get(split_tag(label)[1])) is not None:
            last.weight[number] += STRENGTH * last.weight[number].norm() * direction
