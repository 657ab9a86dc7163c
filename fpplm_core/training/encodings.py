"""The states of a frozen encoder for many windows, computed once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fpplm_core.model.tagger import Tagger
from fpplm_core.tagging.batches import by_length, collate
from fpplm_core.tagging.windows import Window


class EncodedWindows(NamedTuple):
    """The states of the words of windows, one window after the other, mapped from a file without a name.

    *Shape:* states (words, width) in float32; window n has the rows from `starts[n]` to `starts[n + 1]`.
    """

    states: Tensor
    starts: list[int]

    def of(self, rows: Sequence[int]) -> Tensor:
        """The states of these windows, padded with 0. *Shape:* (batch, words, width)."""
        return pad_sequence([self.states[self.starts[n] : self.starts[n + 1]] for n in rows], batch_first=True)


def encode_windows(
    model: Tagger, windows: Sequence[Window], budget: int, bfloat16: bool, folder: Path
) -> EncodedWindows:
    """Encodes the first piece of each word, in the model's present mode, in batches of at most `budget` pieces.

    The states are on the disk of `folder` as long as they are needed. They are written first and then mapped, because a
    write to a mapping kills the process if the disk is full. Raises OSError.
    """
    device = next(model.parameters()).device
    starts = [0, *itertools.accumulate(len(window.first_pieces) for window in windows)]
    with TemporaryFile(dir=folder) as file:
        for rows in by_length([len(window.ids) for window in windows], budget):
            arrays = collate([windows[row] for row in rows])
            ids, mask, types, first, _ = (torch.from_numpy(array).to(device) for array in arrays)
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                hidden = model.words(ids, mask, types, first).float().cpu().numpy()
            for row, own in zip(rows, hidden, strict=True):
                file.seek(starts[row] * hidden.itemsize * model.width)
                file.write(own[: starts[row + 1] - starts[row]].tobytes())
        file.flush()
        states = np.memmap(file, np.float32, "r+", shape=(starts[-1], model.width))
    return EncodedWindows(torch.from_numpy(states), starts)
