"""The states of a frozen encoder for many windows, computed once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fpplm_core.model.tagger import Tagger
from fpplm_core.tagging.batches import by_length, collate
from fpplm_core.tagging.windows import Window


class EncodedWindows(NamedTuple):
    """The states of the words of windows, one window after the other, in a memory-mapped file.

    *Shape:* states (words, width) in float32; window n has the rows from `starts[n]` to `starts[n + 1]`.
    """

    states: Tensor
    starts: list[int]

    def of(self, rows: Sequence[int]) -> Tensor:
        """The states of these windows, padded with 0. *Shape:* (batch, words, width)."""
        return pad_sequence([self.states[self.starts[n] : self.starts[n + 1]] for n in rows], batch_first=True)


def encode_windows(model: Tagger, windows: Sequence[Window], budget: int, bfloat16: bool, file: Path) -> EncodedWindows:
    """Encodes the first piece of each word, in the model's present mode, in batches of at most `budget` pieces.

    The states go to `file`, which must stay until they are no longer needed.
    """
    device = next(model.parameters()).device
    starts = [0, *itertools.accumulate(len(window.first_pieces) for window in windows)]
    states = torch.from_file(str(file), shared=True, size=starts[-1] * model.width).view(-1, model.width)
    for rows in by_length([len(window.ids) for window in windows], budget):
        arrays = collate([windows[row] for row in rows])
        ids, mask, types, first, _ = (torch.from_numpy(array).to(device) for array in arrays)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            hidden = model.first_piece_states(model.encode(ids, mask, types), first).cpu()
        for row, own in zip(rows, hidden, strict=True):
            states[starts[row] : starts[row + 1]] = own[: starts[row + 1] - starts[row]]
    return EncodedWindows(states, starts)
