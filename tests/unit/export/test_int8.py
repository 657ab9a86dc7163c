"""The int8 graph against a reference in numpy, and the rule that a text's answer does not depend on its batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from fpplm_core.export.int8 import derive_int8

PIECES, WIDTH, INNER, LABELS = 50, 24, 96, 5
Array = NDArray[np.float32]
Arrays = dict[str, Array]


def weights(seed: int = 0) -> Arrays:
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> Array:
        return random.normal(size=shape).astype(np.float32)

    table = normal(PIECES, WIDTH)
    table[7] *= 40  # a piece with outliers: it would stretch a scale that others share
    return {"table": table, "up": normal(WIDTH, INNER), "down": normal(INNER, WIDTH), "head": normal(WIDTH, LABELS)}


def save(path: Path, arrays: Arrays, activation: str = "Gelu", shared: bool = False) -> Path:
    """logits = (activation(table[ids] · up) · down) · head; a second output times `up` again with `shared`."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("MatMul", ["vectors", "up"], ["wide"]),
        helper.make_node(activation, ["wide"], ["active"]),
        helper.make_node("MatMul", ["active", "down"], ["narrow"]),
        helper.make_node("MatMul", ["narrow", "head"], ["logits"]),
    ]
    sizes = ["batch", "pieces"]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [*sizes, LABELS])]
    if shared:
        nodes.append(helper.make_node("MatMul", ["vectors", "up"], ["again"]))
        outputs.append(helper.make_tensor_value_info("again", TensorProto.FLOAT, [*sizes, INNER]))
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, sizes)]
    constants = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(path))
    return path


def run(path: Path, ids: NDArray[np.int64]) -> Array:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"input_ids": ids})[0])


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("int8")
    source = save(folder / "fp32.onnx", weights())
    derive_int8(source, folder / "int8.onnx")
    return source, folder / "int8.onnx"


def rounded(matrix: Array, axis: int) -> Array:
    """A matrix with 255 levels along an axis."""
    scale = np.abs(matrix).max(axis, keepdims=True) / 127
    return np.rint(matrix / scale).astype(np.float64) * scale


def reference(ids: NDArray[np.int64], arrays: Arrays, active: str) -> Array:
    def product(values: Array, matrix: Array, least: float | None = None) -> Array:
        matrix = rounded(matrix, 0)
        if least is None:
            return rounded(values, -1) @ matrix
        scale = (values - least).max(-1, keepdims=True) / 255
        return (np.rint((values - least) / scale) * scale + least) @ matrix

    wide = product(rounded(arrays["table"], 1)[ids], arrays["up"])
    if active == "Relu":
        inner, least = np.maximum(wide, 0), 0.0
    else:
        from scipy.special import erf

        inner, least = wide * (1 + erf(wide / np.sqrt(2))) / 2, -0.17
    return np.asarray(product(product(inner, arrays["down"], least), arrays["head"]))


@pytest.mark.parametrize("active", ["Gelu", "Relu"])
def test_the_graph_computes_what_the_reference_does(tmp_path: Path, active: str) -> None:
    source = save(tmp_path / "fp32.onnx", weights(), active)
    derive_int8(source, tmp_path / "int8.onnx")
    ids = np.arange(PIECES).reshape(5, 10)
    found, wanted, exact = run(tmp_path / "int8.onnx", ids), reference(ids, weights(), active), run(source, ids)
    largest = np.abs(exact).max(-1)
    # One number that rounds to the other side, in either arithmetic, moves a row by a part of a hundredth.
    assert (np.abs(found - wanted).max(-1) < 0.01 * largest).all()
    assert np.median(np.abs(found - wanted).max(-1) / largest) < 1e-5
    assert 0 < (np.abs(found - exact).max(-1) / largest).max() < 0.1


@given(st.lists(st.lists(st.integers(0, PIECES - 1), min_size=6, max_size=6), min_size=1, max_size=9), st.randoms())
def test_a_row_has_the_same_answer_whatever_shares_its_batch(graphs, rows: list[list[int]], random) -> None:
    ids = np.array(rows)
    order = random.sample(range(len(rows)), len(rows))
    session = ort.InferenceSession(str(graphs[1]), providers=["CPUExecutionProvider"])

    def logits(ids: NDArray[np.int64]) -> Array:
        return np.asarray(session.run(["logits"], {"input_ids": ids})[0])

    together = logits(ids)
    assert np.array_equal(logits(ids[order]), together[order])
    assert np.array_equal(np.concatenate([logits(row[None]) for row in ids]), together)
    assert np.array_equal(logits(np.pad(ids, ((0, 2), (0, 3)), constant_values=7))[: len(ids), :6], together)


def test_the_librarys_own_dynamic_scales_break_that_rule(graphs, tmp_path: Path) -> None:
    quantize_dynamic(graphs[0], tmp_path / "old.onnx", weight_type=QuantType.QInt8, per_channel=True)
    ids = np.array([[1, 2, 3], [7, 7, 7]])
    assert not np.array_equal(run(tmp_path / "old.onnx", ids[:1])[0], run(tmp_path / "old.onnx", ids)[0])
    assert np.array_equal(run(graphs[1], ids[:1])[0], run(graphs[1], ids)[0])


def test_an_outlier_costs_no_other_piece_its_precision(graphs) -> None:
    ids = np.array([[1, 7, 2, 3]])
    found, exact = run(graphs[1], ids)[0], run(graphs[0], ids)[0]
    assert (np.abs(found - exact).max(-1) < 0.1 * np.abs(exact).max(-1)).all()


def test_rows_and_columns_of_zeros_stay_finite(tmp_path: Path) -> None:
    arrays = weights()
    arrays["table"][3] = arrays["up"][:, 5] = arrays["head"][:, 0] = 0
    derive_int8(save(tmp_path / "fp32.onnx", arrays), tmp_path / "int8.onnx")
    found, exact = (run(tmp_path / f"{name}.onnx", np.array([[3, 4]])) for name in ("int8", "fp32"))
    assert np.isfinite(found).all() and (found[..., 0] == 0).all()
    assert np.abs(found[0, 0]).max() < 0.05 * np.abs(exact[0, 1]).max()  # exactly 0 in float32


def test_the_same_source_gives_the_same_bytes_a_quarter_as_many(graphs, tmp_path: Path) -> None:
    derive_int8(graphs[0], tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == graphs[1].read_bytes()
    large = weights()
    large["table"] = np.tile(large["table"], (500, 1))
    derive_int8(save(tmp_path / "large.onnx", large), tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").stat().st_size < 0.3 * (tmp_path / "large.onnx").stat().st_size


def test_products_of_the_same_activations_quantise_them_once(tmp_path: Path) -> None:
    derive_int8(save(tmp_path / "fp32.onnx", weights(), shared=True), tmp_path / "int8.onnx")
    nodes = onnx.load(str(tmp_path / "int8.onnx")).graph.node
    count = [node.op_type for node in nodes].count
    assert (count("MatMulIntegerToFloat"), count("QuantizeLinear"), count("MatMul")) == (4, 3, 0)


def test_what_has_no_weights_stays_as_it_is(tmp_path: Path) -> None:
    """A product of two activations, a table read along its second axis, and one of integers."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["columns"], axis=1),
        helper.make_node("Gather", ["whole", "input_ids"], ["numbers"]),
        helper.make_node("MatMul", ["x", "x"], ["square"]),
    ]
    tensors = {"table": weights()["table"], "whole": np.arange(6).reshape(3, 2)}
    ends = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n"])]
    ends += [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "n"])]
    outputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in (("columns", 1), ("numbers", 7))]
    outputs.append(helper.make_tensor_value_info("square", TensorProto.FLOAT, ["n", "n"]))
    constants = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "g", ends, outputs, constants)
    path = tmp_path / "fp32.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(path))
    derive_int8(path, tmp_path / "int8.onnx")
    assert list(onnx.load(str(tmp_path / "int8.onnx")).graph.node) == nodes
