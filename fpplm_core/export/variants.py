"""fp16 and int8 graphs, derived from the float32 one."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from fpplm_core.export.int8 import derive_int8


def derive_fp16(source: Path, path: Path) -> None:
    """Weights and arithmetic in float16, inputs and logits as before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter names every weight that it rounds to 0
        onnx.save(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True), str(path))


DERIVE = {"fp16": derive_fp16, "int8": derive_int8}
