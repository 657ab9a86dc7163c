"""A session on a GPU, limited to a few input shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from fpplm_core.errors import BundleError
from fpplm_core.serving.deadline import graph_limits, run_options

RECORDED_ROWS = 8  # larger batches spend more time computing than launching, so they keep no buffers and no CUDA graph
FEWEST_PIECES = 8
Feeds = Mapping[str, NDArray[Any]]


def round_up(size: int) -> int:
    """The next size of three binary digits, 1 2 3 4 5 6 7 8 10 12 14 16 20 …: at most a quarter more, mostly less."""
    step = 1 << max(0, size.bit_length() - 3)
    return -(-size // step) * step


class PaddedSession:
    """A session that pads rows and pieces to the sizes of `round_up`, for few shapes and bounded memory.

    A batch of few rows, in which launching takes longer than computing, has its own buffers on the device and, if the
    session records CUDA graphs, such a graph. `unrecorded` opens one that records none, for a graph that cannot be
    recorded; None if this one does not. A batch of more than `most_rows` runs in parts.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        memory: str,
        unrecorded: Callable[[], ort.InferenceSession] | None,
        where: str,
        seconds: float,
        most_rows: int | None,
    ) -> None:
        self.session, self.memory, self.unrecorded = session, memory, unrecorded
        self.where, self.seconds, self.most_rows = where, seconds, most_rows
        self.widths = {output.name: output.shape[2:] for output in session.get_outputs()}
        self.bound: dict[tuple[Any, ...], DeviceBuffers] = {}

    def run(self, names: Sequence[str], feeds: Feeds) -> list[NDArray[Any]]:
        rows = len(next(iter(feeds.values())))
        step = self.most_rows or rows
        parts = []
        for first in range(0, rows, step):
            part = {name: value[first : first + step] for name, value in feeds.items()}
            try:
                parts.append(self._run(names, part))
            except BundleError:
                if self.unrecorded is None:
                    raise
                # Some graphs are opened with recording and fail in the first run.
                self.session, self.unrecorded, self.bound = self.unrecorded(), None, {}
                parts.append(self._run(names, part))
        return parts[0] if len(parts) == 1 else [np.concatenate(values) for values in zip(*parts, strict=True)]

    def _run(self, names: Sequence[str], feeds: Feeds) -> list[NDArray[Any]]:
        batch, pieces = next(iter(feeds.values())).shape[:2]
        small = batch <= RECORDED_ROWS
        rows = 1 << (batch - 1).bit_length() if small else round_up(batch)
        shape = rows, max(FEWEST_PIECES, round_up(pieces))
        padded = {name: _pad(np.asarray(value), shape) for name, value in feeds.items()}
        if small:
            key = (*shape, *names)
            if key not in self.bound:
                self.bound[key] = DeviceBuffers(self, padded, {name: (*shape, *self.widths[name]) for name in names})
            found = self.bound[key].run(padded)
        else:
            options = run_options()
            options.add_run_config_entry("gpu_graph_id", "-1")  # not recorded
            with graph_limits(self.where, self.seconds, lambda: setattr(options, "terminate", True)):
                found = self.session.run(list(names), padded, options)
        return [np.asarray(values)[:batch, :pieces] for values in found]


class DeviceBuffers:
    """Buffers on the device for one shape, and the binding of the graph to them; outputs are float32."""

    def __init__(self, owner: PaddedSession, feeds: Feeds, outputs: Mapping[str, tuple[int, ...]]) -> None:
        self.session, self.where, self.seconds = owner.session, owner.where, owner.seconds
        self.binding = self.session.io_binding()
        self.options = run_options()
        self.options.add_run_config_entry("gpu_graph_id", str(len(owner.bound) + 1) if owner.unrecorded else "-1")
        self.inputs = {name: ort.OrtValue.ortvalue_from_numpy(v, owner.memory, 0) for name, v in feeds.items()}
        self.outputs = {
            name: ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, owner.memory, 0)
            for name, shape in outputs.items()
        }
        for name, value in self.inputs.items():
            self.binding.bind_ortvalue_input(name, value)
        for name, value in self.outputs.items():
            self.binding.bind_ortvalue_output(name, value)

    def run(self, feeds: Feeds) -> list[NDArray[Any]]:
        for name, value in feeds.items():
            self.inputs[name].update_inplace(value)
        self.options.terminate = False
        with graph_limits(self.where, self.seconds, lambda: setattr(self.options, "terminate", True)):
            self.session.run_with_iobinding(self.binding, self.options)
        # On the CPU, numpy() is the buffer itself.
        return [value.numpy().copy() for value in self.outputs.values()]


def _pad(value: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Zeros (False) at the end of the first two axes, where a mask calls them padding."""
    wider = np.zeros((*shape, *value.shape[2:]), dtype=value.dtype)
    wider[: value.shape[0], : value.shape[1]] = value
    return wider
