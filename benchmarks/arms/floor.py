"""What the machine can do: the rate of a large matrix product in each number format, and of copying memory."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper

sys.path[0] = str(Path(__file__).parents[2])
from benchmarks.harness.arm import Job, serve

SIZE = 1024  # of the square matrices; on a GPU eight times that
COPIED = 256 * 2**20  # bytes


def prepare(task: dict[str, Any]) -> tuple[dict[str, Job], dict[str, Any]]:
    """*task:* device."""
    device = torch.device(task["device"])
    size = SIZE if device.type == "cpu" else 8 * SIZE
    jobs: dict[str, Job] = {"copy": copying(device)}
    for name in ("float32", "bfloat16", "float16"):
        if device.type == "cuda" or name != "float16":
            jobs[name] = product(torch.randn(size, size, device=device).to(getattr(torch, name)), size)
    if device.type == "cpu":
        jobs["int8"] = product_int8()
    return jobs, {"size": size}


def product(matrix: torch.Tensor, size: int) -> Job:
    return lambda: {"flops": 2 * size**3 / best(lambda: matrix @ matrix, matrix.device)}


def product_int8() -> Job:
    """As a quantised graph does it: 8-bit unsigned activations by 8-bit signed weights, with a scale."""
    node = helper.make_node("MatMulInteger", ["a", "b"], ["c"])
    value = numpy_helper.from_array(np.random.default_rng(0).integers(-127, 128, (SIZE, SIZE)).astype(np.int8), "b")
    kinds = (("a", TensorProto.UINT8), ("c", TensorProto.INT32))
    ends = [helper.make_tensor_value_info(name, kind, [SIZE, SIZE]) for name, kind in kinds]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [value])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    matrix = np.random.default_rng(1).integers(0, 255, (SIZE, SIZE)).astype(np.uint8)
    return lambda: {"flops": 2 * SIZE**3 / best(lambda: session.run(None, {"a": matrix}), torch.device("cpu"))}


def copying(device: torch.device) -> Job:
    source = torch.zeros(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return lambda: {"bytes_per_s": 2 * COPIED / best(lambda: target.copy_(source), device)}


def best(run: Any, device: torch.device) -> float:
    """Seconds of one of ten, the fastest: what the machine can do."""
    taken = []
    for _ in range(10):
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return min(taken)


if __name__ == "__main__":
    serve(prepare, ["torch", "onnxruntime-gpu"])
