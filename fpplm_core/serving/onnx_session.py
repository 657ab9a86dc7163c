"""Opens graphs with ONNX Runtime, on the CPU or a GPU."""

from __future__ import annotations

import contextlib
import ctypes
import io
import math
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

# Since 1.29, ONNX Runtime reports to its maker what it opens and runs, unless it finds this variable when it starts.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort
from numpy.typing import NDArray

from fpplm_core.errors import DeviceError
from fpplm_core.serving.deadline import DEADLINE, graph_limits, run_options
from fpplm_core.serving.padded_session import FEWEST_PIECES, Feeds, PaddedSession, round_up

if os.environ["ORT_DISABLE_TELEMETRY"] == "1":
    ort.disable_telemetry_events()  # a service may have imported it before

# The providers of each device: the requested one, then fallbacks for operators without a kernel there.
PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
}
BUILDING = 3600.0  # s with TensorRT, which builds engines meanwhile
CGROUP = Path("/sys/fs/cgroup")  # in a container, its own control group
TENSORRT_ROWS = 64  # the most in a run: an engine is built for all shapes up to a largest one


class Session(Protocol):
    session: ort.InferenceSession

    def run(self, names: Sequence[str], feeds: Feeds) -> list[NDArray[Any]]:
        """The outputs with these names. *Shape:* (batch, pieces, …) for inputs and outputs. Raises BundleError."""
        ...


def cores() -> int:
    """The processors that this process may use; in a container, no more than its quota of CPU time pays for."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(min(found, cpu_quota(CGROUP)))


def cpu_quota(group: Path) -> float:
    """Processors whose time a control group may use, of version 2 or 1; infinite without a limit."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        else:
            files = (group / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period"))
            quota, period = (file.read_text(encoding="ascii") for file in files)
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError):  # there is no such group, or its quota is "max"
        return math.inf


@cache
def has_vnni() -> bool:
    """Whether the processor sums products of 8 bits in 32 bits.

    Without it, the fastest kernels for x86 saturate at 16 bits, and the answers are not those that were verified.
    """
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def has_gpu(device: str) -> bool:
    """Whether ONNX Runtime was built with the device's provider, and the machine has NVIDIA's driver."""
    if PROVIDERS[device][0] not in ort.get_available_providers():
        return False
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@cache
def missing_library() -> str | None:
    """Loads CUDA's libraries, from NVIDIA's packages or the system; says which one is missing."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        ort.preload_dlls()
    return next((line for line in said.getvalue().splitlines() if line.startswith("Failed to load")), None)


def is_available(device: str) -> bool:
    """Whether ONNX Runtime can use a device: a GPU needs a provider, a driver and CUDA's libraries."""
    return device == "cpu" or (has_gpu(device) and missing_library() is None)


def require_device(device: str) -> None:
    """Raises DeviceError if the device is not one of PROVIDERS or not available."""
    if device not in PROVIDERS:
        raise DeviceError("unknown device", where="device", got=repr(device), do=f"use auto, {', '.join(PROVIDERS)}")
    if is_available(device):
        return
    what = f"ONNX Runtime cannot use {device} here"
    if has_gpu(device):
        do = "install the libraries: pip install 'onnxruntime-gpu[cuda,cudnn]'; or use --device cpu"
        raise DeviceError(what, where="device", got=str(missing_library()), do=do)
    got = f"providers {', '.join(ort.get_available_providers())}"
    do = "install onnxruntime-gpu and the NVIDIA driver, or use --device cpu"
    raise DeviceError(what, where="device", got=got, do=do)


def open_session(
    graph: bytes, device: str, threads: int | None = None, where: str = "graph", pieces: int = 512
) -> Session:
    """A session on the device's provider, with `threads` on the CPU; its errors name `where` the graph is from.

    `pieces` is the longest input, for which TensorRT builds its engines. A graph with external data is refused: from
    bytes, ONNX Runtime 1.31 would look for it in the current directory.

    Raises BundleError if the graph cannot be opened, DeviceError if the device does not start.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised, in one line
    options.add_session_config_entry("session.load_model_format", "ONNX")  # whatever the bytes look like
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)  # is no folder
    # Threads that spin while they wait for each other make prediction slow as soon as another process needs their cores
    # (docs/performance.md).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not has_vnni():  # exact products of 8 bits, at the price of speed
        options.add_session_config_entry("session.x64quantprecision", "1")
    if threads is None and cpu_quota(CGROUP) < math.inf:  # ONNX Runtime does not know it
        threads = cores()
    if threads is not None:
        options.intra_op_num_threads = threads
    seconds = BUILDING if device == "tensorrt" else DEADLINE
    with graph_limits(where, seconds, lambda: options.set_load_cancellation_flag(True)):
        if device == "cpu":
            # ONNX Runtime adds up scalars in the fused operator: 7 times the time of Add and LayerNormalization, which
            # are vectorised (version 1.31, docs/performance.md).
            slow = {"disabled_optimizers": ["SkipLayerNormFusion"], "enable_fallback": 0}
            return PlainSession(ort.InferenceSession(graph, options, PROVIDERS[device], **slow), where)
        session, unrecorded = _open_on_gpu(graph, device, options, pieces)
    if session.get_providers()[0] != PROVIDERS[device][0]:
        got = str(session.get_providers())
        raise DeviceError(f"ONNX Runtime could not start {device}", where="device", got=got, do="use --device cpu")
    return PaddedSession(session, "cuda", unrecorded, where, seconds, TENSORRT_ROWS if device == "tensorrt" else None)


def _open_on_gpu(
    graph: bytes, device: str, options: ort.SessionOptions, pieces: int
) -> tuple[ort.InferenceSession, Callable[[], ort.InferenceSession] | None]:
    """A session, and how to open one that records no CUDA graphs if this one does. No TF32: float32 means float32."""

    def create(**own: str) -> ort.InferenceSession:
        settings = {name: {"use_tf32": "0"} if name.startswith("CUDA") else {} for name in PROVIDERS[device]}
        settings[PROVIDERS[device][0]] |= own
        # Without the fallback of ONNX Runtime's Python package, which prints and goes on without the GPU.
        return ort.InferenceSession(graph, options, list(settings.items()), enable_fallback=0)

    if device == "tensorrt":
        cpu = ort.InferenceSession(graph, options, PROVIDERS["cpu"], enable_fallback=0)
        return create(**tensorrt_settings(cpu.get_inputs(), pieces)), None
    try:
        return create(enable_cuda_graph="1"), create
    except Exception:  # CUDA graphs require every node on the GPU; other graphs run without them
        return create(), None


def tensorrt_settings(inputs: Sequence[ort.NodeArg], pieces: int) -> dict[str, str]:
    """Engines in float16 for all shapes up to TENSORRT_ROWS × `pieces`, kept because building takes minutes."""

    def profile(rows: int, pieces: int) -> str:
        return ",".join(f"{one.name}:{'x'.join(map(str, (rows, pieces, *one.shape[2:])))}" for one in inputs)

    longest = max(FEWEST_PIECES, round_up(pieces))
    return {
        "trt_fp16_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(Path.home() / ".cache" / "fpplm" / "tensorrt"),
        "trt_profile_min_shapes": profile(1, FEWEST_PIECES),
        "trt_profile_opt_shapes": profile(TENSORRT_ROWS // 2, min(longest, 64)),
        "trt_profile_max_shapes": profile(TENSORRT_ROWS, longest),
    }


class PlainSession:
    """A session as ONNX Runtime runs it, under the limits of `graph_limits`."""

    def __init__(self, session: ort.InferenceSession, where: str) -> None:
        self.session, self.where = session, where
        session._model_bytes = None  # a copy of the weights, kept for another try with other providers

    def run(self, names: Sequence[str], feeds: Feeds) -> list[NDArray[Any]]:
        options = run_options()
        with graph_limits(self.where, DEADLINE, lambda: setattr(options, "terminate", True)):
            return list(self.session.run(list(names), dict(feeds), options))
