"""Opens graphs with ONNX Runtime, and limits a GPU to a few input shapes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

# Since 1.29, ONNX Runtime reports to its maker what it opens and runs, unless it finds this variable when it starts.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from fpplm_core.errors import BundleError, DeviceError
from fpplm_core.serving.deadline import WATCHDOG
from fpplm_core.serving.files import one_line

if os.environ["ORT_DISABLE_TELEMETRY"] == "1":
    ort.disable_telemetry_events()  # a service may have imported it before

# The providers of each device: the requested one, then fallbacks for operators without a kernel there.
PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
}
RECORDED_ROWS = 8  # larger batches spend more time computing than launching, so they keep no buffers and no CUDA graph
DEADLINE = 60.0  # s for opening a graph and for each batch, which takes some hundredths of a second on a CPU
BUILDING = 3600.0  # s with TensorRT, which builds engines meanwhile
Feeds = Mapping[str, NDArray[Any]]


class Session(Protocol):
    session: ort.InferenceSession

    def run(self, names: Sequence[str], feeds: Feeds) -> list[NDArray[Any]]:
        """The outputs with these names. *Shape:* (batch, pieces, …) for inputs and outputs. Raises BundleError."""
        ...


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_available(device: str) -> bool:
    """Whether ONNX Runtime was built with the device's provider and, for a GPU, the machine has a driver."""
    if PROVIDERS[device][0] not in ort.get_available_providers():
        return False
    if device == "cpu":
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def require_device(device: str) -> None:
    """Raises DeviceError if the device is not one of PROVIDERS or not available."""
    if device not in PROVIDERS:
        raise DeviceError("unknown device", got=repr(device), do=f"use auto, {', '.join(PROVIDERS)}")
    if not is_available(device):
        raise DeviceError(
            f"ONNX Runtime cannot use {device} here",
            got=f"providers {', '.join(ort.get_available_providers())}",
            do="install onnxruntime-gpu and the NVIDIA driver, or use --device cpu",
        )


@contextmanager
def graph_limits(where: str, seconds: float, cancel: Callable[[], object]) -> Iterator[None]:
    """Calls `cancel` at the deadline. Raises BundleError for what ONNX Runtime raises, then or before."""
    late = []

    def stop() -> None:
        late.append(True)
        cancel()

    try:
        with WATCHDOG.limit(seconds, stop):
            yield
    except Exception as error:  # ONNX Runtime has many kinds, with no common base
        got = f"no end within {seconds:.0f} s" if late else one_line(error)
        do = "try another variant or device, or make the bundle again"
        raise BundleError("ONNX Runtime cannot run the graph", where=where, got=got, do=do) from None


def open_session(graph: bytes, device: str, threads: int | None = None, where: str = "graph") -> Session:
    """A session on the device's provider, with `threads` on the CPU; its errors name `where` the graph is from.

    A graph with external data is refused: from bytes, ONNX Runtime 1.31 would look for it in the current directory.

    Raises BundleError if the graph cannot be opened, DeviceError if the device does not start.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised, in one line
    options.add_session_config_entry("session.load_model_format", "ONNX")  # whatever the bytes look like
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)  # is no folder
    # Threads that spin while they wait for each other make prediction slow as soon as another process needs their cores
    # (docs/performance.md).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    seconds = BUILDING if device == "tensorrt" else DEADLINE
    with graph_limits(where, seconds, lambda: options.set_load_cancellation_flag(True)):
        if device == "cpu":
            # ONNX Runtime adds up scalars in the fused operator: 7 times the time of Add and LayerNormalization, which
            # are vectorised (version 1.31, docs/performance.md).
            slow = {"disabled_optimizers": ["SkipLayerNormFusion"], "enable_fallback": 0}
            return PlainSession(ort.InferenceSession(graph, options, PROVIDERS[device], **slow), where)
        session, record = _create_on_gpu(graph, device, options)
    if session.get_providers()[0] != PROVIDERS[device][0]:
        got = str(session.get_providers())
        raise DeviceError(f"ONNX Runtime could not start {device}", got=got, do="use --device cpu")
    return PaddedSession(session, "cuda", record, where, seconds)


def _create_on_gpu(graph: bytes, device: str, options: ort.SessionOptions) -> tuple[ort.InferenceSession, bool]:
    """A session, on the CPU if the device does not start, and whether it records CUDA graphs."""
    settings = {
        "trt_fp16_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(Path.home() / ".cache" / "fpplm" / "tensorrt"),  # building takes minutes
    }
    # CUDA graphs require every node on the GPU; other graphs run without them.
    for record in (True, False) if device == "cuda" else (False,):
        own = {"enable_cuda_graph": "1"} if record else settings if device == "tensorrt" else {}
        providers = [(PROVIDERS[device][0], own), *((name, {}) for name in PROVIDERS[device][1:])]
        session = ort.InferenceSession(graph, options, providers)
        if session.get_providers()[0] == PROVIDERS[device][0]:
            break
    return session, record


class PlainSession:
    """A session as ONNX Runtime runs it, under the limits of `graph_limits`."""

    def __init__(self, session: ort.InferenceSession, where: str) -> None:
        self.session, self.where = session, where
        session._model_bytes = None  # a copy of the weights, kept for another try with other providers

    def run(self, names: Sequence[str], feeds: Feeds) -> list[NDArray[Any]]:
        options = run_options()
        with graph_limits(self.where, DEADLINE, lambda: setattr(options, "terminate", True)):
            return list(self.session.run(list(names), dict(feeds), options))


def run_options() -> ort.RunOptions:
    options = ort.RunOptions()
    options.log_severity_level = 4  # errors are raised, in one line
    return options


def round_up(size: int) -> int:
    """The next size of three binary digits, 1 2 3 4 5 6 7 8 10 12 14 16 20 …: at most a quarter more, mostly less."""
    step = 1 << max(0, size.bit_length() - 3)
    return -(-size // step) * step


class PaddedSession:
    """A session that pads rows and pieces to the sizes of `round_up`, for few shapes and bounded memory.

    A batch of few rows, in which launching takes longer than computing, has its own buffers on the device and, with
    `record`, a CUDA graph.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        memory: str,
        record: bool,
        where: str = "graph",
        seconds: float = DEADLINE,
    ) -> None:
        self.session, self.memory, self.record, self.where, self.seconds = session, memory, record, where, seconds
        self.widths = {output.name: output.shape[2:] for output in session.get_outputs()}
        self.bound: dict[tuple[Any, ...], DeviceBuffers] = {}

    def run(self, names: Sequence[str], feeds: Feeds) -> list[NDArray[Any]]:
        batch, pieces = next(iter(feeds.values())).shape[:2]
        small = batch <= RECORDED_ROWS
        shape = 1 << (batch - 1).bit_length() if small else round_up(batch), max(8, round_up(pieces))
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
        self.options.add_run_config_entry("gpu_graph_id", str(len(owner.bound) + 1) if owner.record else "-1")
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
