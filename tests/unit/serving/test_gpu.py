"""What a GPU's session does when something is missing or refused: with a stand-in for ONNX Runtime's session."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime as ort
import pytest

from fpplm_core.errors import BundleError, DeviceError
from fpplm_core.serving import Predictor, onnx_session
from fpplm_core.serving.onnx_session import TENSORRT_ROWS, has_gpu, is_available, missing_library, open_session
from fpplm_core.serving.padded_session import PaddedSession
from tests.hostile_bundles.tiny import write_tiny_bundle

MISSING = "Failed to load libcublasLt.so.13: libcublasLt.so.13: cannot open shared object file"
REAL = ort.InferenceSession


class Gpu:
    """Stands in for `ort.InferenceSession` on a machine with a GPU, and computes on the CPU."""

    opened: ClassVar[list[dict[str, dict[str, str]]]] = []
    fails: Callable[[dict[str, str]], bool] = staticmethod(lambda settings: False)

    def __init__(self, graph: bytes, options: ort.SessionOptions, providers: list[Any], **further: Any) -> None:
        assert further["enable_fallback"] == 0, "ONNX Runtime prints, and goes on without the GPU"
        named = dict(providers) if isinstance(providers[0], tuple) else {name: {} for name in providers}
        self.opened.append(named)
        self.names, self.settings = list(named), next(iter(named.values()))
        if self.fails(self.settings):
            raise RuntimeError("nodes on the CPU cannot be recorded")
        self.session = REAL(graph, providers=["CPUExecutionProvider"])

    def get_providers(self) -> list[str]:
        return self.names

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Gpu]]:
    missing_library.cache_clear()
    monkeypatch.setattr(Gpu, "opened", [])
    monkeypatch.setattr(onnx_session.ort, "InferenceSession", Gpu)
    monkeypatch.setattr(onnx_session.ort, "preload_dlls", lambda: None)
    monkeypatch.setattr(onnx_session.ort, "get_available_providers", lambda: [*onnx_session.PROVIDERS["tensorrt"]])
    monkeypatch.setattr(onnx_session.ctypes, "CDLL", lambda name: None)
    # Its buffers are the CPU's.
    monkeypatch.setattr(onnx_session, "PaddedSession", lambda session, _, *more: PaddedSession(session, "cpu", *more))
    yield Gpu
    missing_library.cache_clear()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "bundle")


def graph(bundle: Path) -> bytes:
    return (bundle / "onnx/model.onnx").read_bytes()


def lacks(monkeypatch: pytest.MonkeyPatch, line: str = MISSING) -> None:
    monkeypatch.setattr(onnx_session.ort, "preload_dlls", lambda: print(f"{line}\nPlease follow https://…"))


def test_auto_takes_the_gpu_that_starts(gpu, bundle, caplog) -> None:
    assert has_gpu("cuda") and is_available("cuda")
    predictor = Predictor.load(bundle)
    assert predictor.device == "cuda" and not caplog.records
    assert predictor.tag([["London"]]) == Predictor.load(bundle, "cpu").tag([["London"]])


def test_auto_falls_back_to_the_cpu_and_says_why_in_one_line(gpu, bundle, caplog, capfd, monkeypatch) -> None:
    lacks(monkeypatch)
    predictor = Predictor.load(bundle)
    assert predictor.device == "cpu" and not gpu.opened
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and "\n" not in record.getMessage()
    assert "the CPU is used" in record.getMessage() and MISSING in record.getMessage()
    assert capfd.readouterr().out == ""
    assert not is_available("cuda")  # verify leaves the device out


def test_a_gpu_that_was_asked_for_is_not_replaced(gpu, bundle, monkeypatch) -> None:
    lacks(monkeypatch)
    with pytest.raises(DeviceError, match=r"libcublasLt\.so\.13.*pip install 'onnxruntime-gpu\[cuda,cudnn\]'") as error:
        Predictor.load(bundle, "cuda")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_gpu_on_which_no_session_opens(gpu, bundle, caplog, monkeypatch, device: str) -> None:
    monkeypatch.setattr(gpu, "fails", staticmethod(lambda settings: "use_tf32" in settings))
    if device == "auto":
        assert Predictor.load(bundle, device).device == "cpu" and len(caplog.records) == 1
    else:
        with pytest.raises(BundleError, match="cannot be recorded"):
            Predictor.load(bundle, device)


def test_onnx_runtime_may_leave_out_the_gpu_without_an_error(gpu, bundle, monkeypatch) -> None:
    monkeypatch.setattr(gpu, "get_providers", lambda self: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match="could not start cuda"):
        Predictor.load(bundle, "cuda")
    assert Predictor.load(bundle, "auto").device == "cpu"


def test_without_a_gpu_there_is_nothing_to_say(bundle, caplog, monkeypatch) -> None:
    monkeypatch.setattr(onnx_session.ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert Predictor.load(bundle).device == "cpu" and not caplog.records


def test_cuda_records_graphs_and_computes_in_float32(gpu, bundle) -> None:
    session = open_session(graph(bundle), "cuda")
    assert isinstance(session, PaddedSession) and session.unrecorded is not None
    cuda = {"use_tf32": "0", "enable_cuda_graph": "1"}
    assert gpu.opened == [{"CUDAExecutionProvider": cuda, "CPUExecutionProvider": {}}]


def test_a_graph_that_cannot_be_opened_for_recording_is_opened_without(gpu, bundle, monkeypatch) -> None:
    monkeypatch.setattr(gpu, "fails", staticmethod(lambda settings: "enable_cuda_graph" in settings))
    session = open_session(graph(bundle), "cuda")
    assert isinstance(session, PaddedSession) and session.unrecorded is None
    assert gpu.opened[-1] == {"CUDAExecutionProvider": {"use_tf32": "0"}, "CPUExecutionProvider": {}}


def test_a_graph_whose_first_recording_fails_runs_without(gpu, bundle, monkeypatch) -> None:
    def run(self: Gpu, binding: Any, options: Any) -> None:
        if "enable_cuda_graph" in self.settings:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.session.run_with_iobinding(binding, options)

    monkeypatch.setattr(gpu, "run_with_iobinding", run, raising=False)
    predictor = Predictor.load(bundle, "cuda")
    assert predictor.tag([["London", "x"]]) == Predictor.load(bundle, "cpu").tag([["London", "x"]])
    assert [("enable_cuda_graph" in next(iter(named.values()))) for named in gpu.opened[:2]] == [True, False]
    monkeypatch.setattr(gpu, "run_with_iobinding", lambda self, *_: 1 / 0)
    with pytest.raises(BundleError, match="division by zero"):  # nothing is left to try
        predictor.tag([["London", "y"]])


def test_tensorrt_builds_for_all_shapes_that_it_will_see(gpu, bundle) -> None:
    session = open_session(graph(bundle), "tensorrt", pieces=510)
    settings = gpu.opened[-1]["TensorrtExecutionProvider"]
    assert gpu.opened[-1]["CUDAExecutionProvider"] == {"use_tf32": "0"}
    profiles = [settings[f"trt_profile_{end}_shapes"] for end in ("min", "opt", "max")]
    names = sorted(one.name for one in session.session.get_inputs())
    shapes = []
    for profile in profiles:
        found = dict(one.split(":") for one in profile.split(","))
        assert sorted(found) == names and len({*found.values()}) == 1
        shapes.append(tuple(map(int, next(iter(found.values())).split("x"))))
    least, usual, most = shapes
    assert (least, most) == ((1, 8), (TENSORRT_ROWS, 512))
    seen: set[tuple[int, ...]] = set()
    original = session.session.run
    session.session.run = lambda names, feeds, options: (
        seen.update(v.shape for v in feeds.values()) or original(names, feeds, options)
    )
    random = np.random.default_rng(0)
    for rows, pieces in [(1, 1), (200, 5), (64, 510), (65, 30), (9, 300)]:
        feeds = {name: random.integers(0, 2, (rows, pieces)) for name in names}
        (found,) = session.run(["logits"], feeds)
        (wanted,) = original(["logits"], feeds, None)
        assert np.array_equal(found, wanted)
    seen |= {key[:2] for key in session.bound}
    assert all(a <= b <= c for shape in (*seen, usual) for a, b, c in zip(least, shape, most, strict=True))
