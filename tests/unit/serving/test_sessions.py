"""How a GPU's session sees few shapes: tried on the CPU, where the same binding and padding run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from fpplm_core.errors import DeviceError
from fpplm_core.serving import onnx_session
from fpplm_core.serving.deadline import DEADLINE
from fpplm_core.serving.onnx_session import is_available, open_session, require_device
from fpplm_core.serving.padded_session import RECORDED_ROWS, PaddedSession, round_up

WIDTH = 3


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """logits[b, p] = table[id] · mask + the row's number of masked-in pieces: padding in either axis would show."""
    table = np.arange(50 * WIDTH, dtype=np.float32).reshape(50, WIDTH)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["vectors", "wide"], ["shown"]),
        helper.make_node("ReduceSum", ["wide", "one"], ["count"], keepdims=1),
        helper.make_node("Add", ["shown", "count"], ["logits"]),
    ]
    arrays = {"table": table, "last": np.array([2]), "one": np.array([1])}
    sizes = ["batch", "pieces"]
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, sizes) for n in ("input_ids", "attention_mask")]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [*sizes, WIDTH])]
    constants = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    onnx.save(model, str(path))
    return path


def test_threads_that_wait_leave_their_cores_to_others(graph: Path) -> None:
    options = open_session(graph.read_bytes(), "cpu", threads=2).session.get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "9900000 100000\n"}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({}, 8),
    ],
)
def test_a_container_uses_no_more_cores_than_its_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], wanted: int
) -> None:
    (tmp_path / "cpu").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(onnx_session, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    assert onnx_session.cores() == wanted


def test_a_session_has_no_more_threads_than_the_quota(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_session, "CGROUP", tmp_path)
    assert open_session(graph.read_bytes(), "cpu").session.get_session_options().intra_op_num_threads == 0  # its choice
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert open_session(graph.read_bytes(), "cpu").session.get_session_options().intra_op_num_threads == 1
    assert open_session(graph.read_bytes(), "cpu", 2).session.get_session_options().intra_op_num_threads == 2


@pytest.mark.parametrize("vnni", [True, False])
def test_without_vnni_products_of_8_bits_are_exact(graph: Path, monkeypatch: pytest.MonkeyPatch, vnni: bool) -> None:
    monkeypatch.setattr(onnx_session, "has_vnni", lambda: vnni)
    options = open_session(graph.read_bytes(), "cpu").session.get_session_options()
    if vnni:
        with pytest.raises(RuntimeError, match="does not have"):
            options.get_session_config_entry("session.x64quantprecision")
    else:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"


@given(st.integers(1, 10**6))
def test_a_rounded_size_is_never_smaller_and_little_larger(size: int) -> None:
    found = round_up(size)
    assert size <= found <= size * 1.25
    assert round_up(found) == found


def test_there_are_few_rounded_sizes() -> None:
    assert len({round_up(size) for size in range(1, 4097)}) <= 4 * 12


def test_ten_thousand_random_shapes_give_the_plain_answers_in_few_buffers(graph: Path) -> None:
    plain = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    padded = PaddedSession(plain, "cpu", None, "graph", DEADLINE, None)
    random = np.random.default_rng(0)
    for _ in range(10_000):
        shape = int(random.integers(1, 40)), int(random.integers(1, 260))
        feeds = {"input_ids": random.integers(0, 50, shape), "attention_mask": random.integers(0, 2, shape)}
        (wanted,), (found,) = plain.run(["logits"], feeds), padded.run(["logits"], feeds)
        assert np.array_equal(wanted, found), shape
    assert all(key[0] <= RECORDED_ROWS for key in padded.bound)
    assert len(padded.bound) <= 4 * 22  # rows of 1, 2, 4, 8; pieces of 8 to 320


def test_an_answer_is_not_overwritten_by_the_next(graph: Path) -> None:
    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    padded = PaddedSession(session, "cpu", None, "graph", DEADLINE, None)
    feeds = [{"input_ids": np.full((2, 3), n), "attention_mask": np.ones((2, 3), dtype=np.int64)} for n in (1, 7)]
    (first,) = padded.run(["logits"], feeds[0])
    kept = first.copy()
    padded.run(["logits"], feeds[1])
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("device", [*(d for d in ("cuda", "tensorrt") if not is_available(d)), "tpu"])
def test_a_device_that_is_not_there_is_refused_and_not_replaced(device: str) -> None:
    with pytest.raises(DeviceError, match=device):
        require_device(device)
