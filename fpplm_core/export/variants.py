"""fp16, int8 and mixed graphs, derived from the float32 one."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16

from fpplm_core.errors import StorageError


def derive_fp16(source: Path, path: Path) -> None:
    """Weights and arithmetic in float16, inputs and logits as before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter names every weight that it rounds to 0
        onnx.save(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True), str(path))


def derive_int8(source: Path, path: Path) -> None:
    """Weights in int8 with one scale per channel; activations are quantised dynamically (docs/decisions/0005)."""
    _quantise(source, path, [])


def derive_mixed(source: Path, path: Path) -> None:
    """As `derive_int8`, but narrowing matrices stay in float32: the head, and those after a block's widest layer.

    The activations before them have the outliers that a common scale suits least (docs/decisions/0005).
    """
    graph = onnx.load(str(source)).graph
    sizes = {one.name: tuple(one.dims) for one in graph.initializer}
    matrices = {n.name: sizes[n.input[1]] for n in graph.node if n.op_type == "MatMul" and n.input[1] in sizes}
    _quantise(source, path, [name for name, (rows, columns) in matrices.items() if rows > columns])


def _quantise(source: Path, path: Path, left: list[str]) -> None:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # advice on pre-processing, which the exporter has already done
    try:
        quantize_dynamic(source, path, weight_type=QuantType.QInt8, per_channel=True, nodes_to_exclude=left)
    except DecodeError as error:  # onnx silently truncates its own temporary file beside the source
        do = "free some space, then run again"
        raise StorageError("cannot be written (the disk is full)", where=str(path), got=str(error), do=do) from None
    finally:
        root.setLevel(level)


DERIVE = {"fp16": derive_fp16, "int8": derive_int8, "mixed": derive_mixed}
