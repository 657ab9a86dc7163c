"""Ten thousand random shapes through a device's serving session: memory stays, answers agree with the CPU's float32.

The exit status is 1 if the memory still grows in the second half, or logits are further apart than LARGEST_DELTA.

On the CPU it runs what a GPU runs, padding and bound buffers, over the CPU's provider.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort

from benchmarks.harness import machine
from benchmarks.harness.arm import peak_bytes
from fpplm.pipeline.paths import BUNDLE
from fpplm_core.serving.bundle import open_bundle
from fpplm_core.serving.deadline import DEADLINE
from fpplm_core.serving.onnx_session import Session, open_session
from fpplm_core.serving.padded_session import PaddedSession

COMPARED = 100  # one shape in so many
GROWTH = 1.02  # memory at the end, relative to half of the way, when all shapes have their buffers
# The largest mean difference of the logits of a batch. Random pieces are not what int8 is made for.
LARGEST_DELTA = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda", "tensorrt"), default="cpu")
    parser.add_argument("--shapes", type=int, default=10_000)
    options = parser.parse_args()
    bundle = open_bundle(BUNDLE)
    variant = bundle.config.variants["cpu" if options.device == "cpu" else "cuda"][0]
    graph, exact_graph = (bundle.read(bundle.config.graphs[name]) for name in (variant, "fp32"))
    if options.device == "cpu":
        plain = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
        session: Session = PaddedSession(plain, "cpu", None, bundle.config.graphs[variant], DEADLINE, None)
    else:
        session = open_session(graph, options.device)
    exact = open_session(exact_graph, "cpu")
    names = [one.name for one in exact.session.get_inputs()]
    random = np.random.default_rng(0)
    memory, deltas = [], []
    began = time.perf_counter()
    for number in range(options.shapes):
        pieces = int(random.integers(3, bundle.config.window + 1))
        shape = int(random.integers(1, max(2, 1024 // pieces))), pieces
        mask = (np.arange(pieces) < random.integers(3, pieces + 1, (shape[0], 1))).astype(np.int64)
        feeds = {"input_ids": random.integers(1000, 20_000, shape) * mask, "attention_mask": mask}
        feeds["token_type_ids"] = np.zeros(shape, dtype=np.int64)
        feeds = {name: feeds[name] for name in names}
        (logits,) = session.run([bundle.config.logits], feeds)
        if number % COMPARED == 0:
            (wanted,) = exact.run([bundle.config.logits], feeds)
            deltas.append(float(np.abs(logits - wanted)[mask == 1].mean()))
        if number % (options.shapes // 10) == options.shapes // 10 - 1:
            memory.append(held(options.device))
            print(f"{number + 1} shapes, {memory[-1] / 1e6:,.0f} MB", flush=True)
    faults = out_of_bounds(variant, memory, deltas)
    machine.save(
        f"soak-{options.device}.json",
        {
            "variant": variant,
            "shapes": options.shapes,
            "seconds": time.perf_counter() - began,
            "bytes_held_by_tenths": memory,
            "mean_logit_delta": float(np.mean(deltas)),
            "largest_mean_logit_delta": max(deltas),
            "out_of_bounds": faults,
        },
    )
    sys.exit("\n".join(faults) or None)


def out_of_bounds(variant: str, memory: Sequence[int], deltas: Sequence[float]) -> list[str]:
    """What exceeds its bound: the memory held after each tenth, and the mean differences of logits."""
    faults, half = [], memory[len(memory) // 2 - 1]
    if memory[-1] > GROWTH * half:
        faults.append(f"memory grew from {half / 1e6:,.0f} to {memory[-1] / 1e6:,.0f} MB in the second half")
    if max(deltas) > LARGEST_DELTA[variant]:
        faults.append(f"logits differ by {max(deltas):.2g}, more than {LARGEST_DELTA[variant]:.2g}")
    return faults


def held(device: str) -> int:
    """Bytes in use on the GPU, or the most that this process has held."""
    if device == "cpu":
        return peak_bytes()
    import torch

    free, total = torch.cuda.mem_get_info()
    return total - free


if __name__ == "__main__":
    main()
