"""The int8 graph: products with weights in 8 bits, a scale for each row of activations and each column of weights.

ONNX Runtime's own dynamic quantisation has one scale for the activations of a whole run, so the answer for a text
depends on the rest of its batch. Here, each piece has its own scale: the products are exact sums of integers, and no
piece affects another (per-token scales as in ZeroQuant, arXiv:2206.01861). docs/decisions/0028-int8-by-rows.md has the
measurements.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

CONTRIB = "com.microsoft"  # the domain of ONNX Runtime's operators that are not in the ONNX standard
PREFIX = "int8/"  # of the names that are added to a graph
LEAST = {"Gelu": -0.17, "Relu": 0.0}  # the minimum of activations that are large in one direction only
# Kernels multiply unsigned activations by signed weights: for a row with both signs, 128 stands for 0.
CONSTANTS: dict[str, NDArray[Any]] = {
    "step": np.array(1 / 127, np.float32),
    "middle": np.array(128, np.uint8),
    "positive/step": np.array(1 / 255, np.float32),
    "positive/middle": np.array(0, np.uint8),
    "tiny": np.array(1e-30, np.float32),  # instead of 0 as the largest number of a row
    "last": np.array([-1]),
}


def derive_int8(source: Path, path: Path) -> None:
    """Writes the graph of `source` with the weights of products and tables in int8 and the rest in float32."""
    model = onnx.load(str(source))
    graph = model.graph
    rewriter = _Rewriter(graph)
    nodes = [new for node in graph.node for new in rewriter.rewrite(node)]
    used = {name for node in nodes for name in node.input}
    weights = [one for one in graph.initializer if one.name in used]
    weights += [numpy_helper.from_array(value, name) for name, value in rewriter.added.items() if name in used]
    for field, values in (("node", nodes), ("initializer", weights), ("value_info", [])):
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
    onnx.save(model, str(path))


class _Rewriter:
    """Replaces the nodes of a graph one by one, and collects the constants that the new ones need."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        weights = {one.name: numpy_helper.to_array(one) for one in graph.initializer if len(one.dims) == 2}
        self.weights = {name: value for name, value in weights.items() if value.dtype == np.float32}
        self.least = {output: LEAST.get(node.op_type) for node in graph.node for output in node.output}
        self.added: dict[str, NDArray[Any]] = {PREFIX + name: value for name, value in CONSTANTS.items()}
        self.rows: set[str] = set()  # activations that are quantised already, for an earlier product

    def rewrite(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        if node.op_type == "MatMul" and node.input[1] in self.weights:
            yield from self._product(*node.input, *node.output)
        elif node.op_type == "Gather" and node.input[0] in self.weights and not any(a.i for a in node.attribute):
            yield from self._lookup(*node.input, *node.output)
        else:
            yield node

    def _product(self, values: str, weights: str, output: str) -> Iterator[onnx.NodeProto]:
        """m · (round(x / m) W), where x is a row of the activations and m the largest magnitude in it.

        Activations with a known minimum are shifted to start at 0, to use all 8 bits: this adds a constant to each
        column.
        """
        name, least = PREFIX + values, self.least.get(values)
        kind = PREFIX if least is None else PREFIX + "positive/"
        if values not in self.rows:
            self.rows.add(values)
            yield from self._quantise_rows(values, name, kind, least)
        integers, scales = self._quantised(weights, axis=0)
        inputs = [f"{name}/integers", integers, f"{kind}step", scales, f"{kind}middle"]
        yield helper.make_node("MatMulIntegerToFloat", inputs, [f"{PREFIX}{output}"], domain=CONTRIB)
        scaled = f"{PREFIX}{output}/scaled" if least else output
        yield helper.make_node("Mul", [f"{PREFIX}{output}", f"{name}/largest"], [scaled])
        if least:
            sums = np.sum(self.added[integers] * self.added[scales].astype(np.float64), axis=0)
            self.added[f"{PREFIX}{weights}/least"] = (least * sums).astype(np.float32)
            yield helper.make_node("Add", [scaled, f"{PREFIX}{weights}/least"], [output])

    def _quantise_rows(self, values: str, name: str, kind: str, least: float | None) -> Iterator[onnx.NodeProto]:
        magnitudes = values
        if least is None:
            magnitudes = f"{name}/magnitudes"
            yield helper.make_node("Abs", [values], [magnitudes])
        elif least:
            self.added[f"{name}/shift"] = np.array(-least, np.float32)
            magnitudes = values = f"{name}/shifted"
            yield helper.make_node("Add", [name.removeprefix(PREFIX), f"{name}/shift"], [values])
        yield helper.make_node("ReduceMax", [magnitudes, f"{PREFIX}last"], [f"{name}/max"], keepdims=1)
        yield helper.make_node("Max", [f"{name}/max", f"{PREFIX}tiny"], [f"{name}/largest"])
        yield helper.make_node("Div", [values, f"{name}/largest"], [f"{name}/shares"])
        inputs = [f"{name}/shares", f"{kind}step", f"{kind}middle"]
        yield helper.make_node("QuantizeLinear", inputs, [f"{name}/integers"])

    def _lookup(self, table: str, places: str, output: str) -> Iterator[onnx.NodeProto]:
        """A look-up in a table in int8 with a scale for each row; tables are half of a small encoder's weights."""
        name = f"{PREFIX}{output}/found"
        integers, scales = self._quantised(table, axis=1)
        yield helper.make_node("Gather", [integers, places], [f"{name}/integers"])
        yield helper.make_node("Gather", [scales, places], [f"{name}/scales"])
        yield helper.make_node("Cast", [f"{name}/integers"], [f"{name}/floats"], to=onnx.TensorProto.FLOAT)
        yield helper.make_node("Mul", [f"{name}/floats", f"{name}/scales"], [output])

    def _quantised(self, weights: str, axis: int) -> tuple[str, str]:
        """Adds a matrix in int8 and its scales, (columns,) for axis 0 and (rows, 1) for axis 1; returns their names."""
        names = f"{PREFIX}{weights}/integers", f"{PREFIX}{weights}/scales"
        matrix = self.weights[weights]
        scales = np.maximum(np.abs(matrix).max(axis, keepdims=True), np.finfo(np.float32).tiny) / np.float32(127)
        integers = np.rint(matrix / scales).astype(np.int8)
        self.added |= dict(zip(names, (integers, scales if axis else scales[0]), strict=True))
        return names
