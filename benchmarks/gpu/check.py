"""The GPU check: our training step and its parity with the CPU; ONNX Runtime on the GPU.

Each part that cannot run says why. One JSON, named after the machine, is written after each part; the exit status is 1
where a part failed or a number leaves its bounds. `benchmarks/gpu.sh` calls it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import machine

# The largest distance from the CPU's float32 logits. The head is untrained: the standard deviation of logits is 0.15.
BOUNDS = {"float32": 1e-4, "bfloat16": 0.05, "float16": 0.005}
SMALL, LARGE = 256, 4096  # pieces a step: as it ships, and what fills a GPU


class Skip(Exception):
    """Why a part cannot run here."""


def training(inputs_at: Path, device: torch.device, steps: int) -> dict[str, Any]:
    try:
        from benchmarks.gpu import core
    except ImportError as error:
        raise Skip(f"{error}; benchmarks/gpu.sh prepare fetches what is missing (for another Python: TARGET)") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Skip("torch sees no CUDA device")
    torch.use_deterministic_algorithms(True)
    inputs = core.read_inputs(inputs_at)
    batch = inputs.batch(next(inputs.batches(LARGE)))
    exact, loss, norm = core.forward_and_backward(inputs.tagger(), batch)
    parity: dict[str, Any] = {"reference": {"loss": loss, "gradient_norm": norm}}
    for kind in ("float32", "bfloat16"):
        logits, loss, norm = core.forward_and_backward(inputs.tagger().to(device), batch, kind == "bfloat16")
        row = {"loss": loss, "gradient_norm": norm, **distance(logits, exact, kind)}
        parity[f"{device.type} {kind}"] = row

    def attempt(active: list[str] | None, pieces: int, bfloat16: bool) -> dict[str, Any]:
        try:
            return run(active, pieces, bfloat16)
        except Exception as error:  # such as an operation that is not deterministic on a GPU: the others still count
            return {"failed": f"{type(error).__name__}: {error}"}

    def run(active: list[str] | None, pieces: int, bfloat16: bool) -> dict[str, Any]:
        one = core.Run(inputs, device, active, pieces, bfloat16, steps)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        warm = max(1, steps // 10)  # the first steps compile kernels and fill the allocator's pool
        trained = one.steps()
        reports = list(itertools.islice(trained, warm))
        wait(device)
        began = time.perf_counter()
        reports += trained
        wait(device)
        seconds = time.perf_counter() - began
        losses = core.read_losses(reports)
        return {
            "ms_per_step": 1000 * seconds / (steps - warm),
            "words_per_s": sum(one.words[warm:]) / seconds,
            "peak_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
            "first_loss": losses[0]["tag"],
            "last_loss": losses[-1]["tag"],
        }

    arms: dict[str, list[str] | None] = {"plain": [], "all six": None}
    speed = {}
    for pieces in (SMALL, LARGE) if device.type == "cuda" else (SMALL,):
        for kind in ("float32", "bfloat16"):
            for name, active in arms.items():
                speed[f"{name}, {pieces} pieces, {kind}"] = attempt(active, pieces, kind == "bfloat16")
    for name in core.names():
        speed[f"{name}, {SMALL} pieces, bfloat16"] = attempt([name], SMALL, True)
    first, again = (attempt(None, SMALL, False).get("last_loss") for _ in range(2))
    return {
        "parity": parity,
        "same_loss_twice": first == again,
        "starts_without_workspace_config": starts_without_workspace_config(device),
        "speed": speed,
        "within_bounds": first == again
        and all(row.get("within_bounds", True) for row in parity.values())
        and not any("failed" in row for row in speed.values()),
    }


def processes(inputs_at: Path, device: torch.device, steps: int) -> dict[str, Any]:
    """A step of all six in one process, and shared by as many as there are GPUs; on the CPU by two."""
    most = torch.cuda.device_count() if device.type == "cuda" else 2
    if most < 2:
        raise Skip(f"{most} GPU: processes that share a step need one each")
    pieces = str(LARGE if device.type == "cuda" else SMALL)
    found: dict[str, Any] = {}
    for count in (1, most):
        torchrun = [
            "torch.distributed.run",
            "--standalone",
            "--local-addr",
            "127.0.0.1",
            "--nproc-per-node",
            str(count),
        ]
        program = ["-m", "benchmarks.gpu.in_processes", str(inputs_at), device.type, pieces, str(max(steps, 10))]
        threads = str(max(1, torch.get_num_threads() // count))
        done = subprocess.run(
            [sys.executable, "-m", *torchrun, *program],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=120,
        )
        found[f"{count} processes"] = json.loads(done.stdout.splitlines()[-1])
    one, many = found.values()
    # Dropout differs, so the losses are near, not equal; equal weights are checked within the run.
    found["within_bounds"] = abs(one["last_loss"] - many["last_loss"]) < 0.5
    return found


def serving(inputs_at: Path, device: torch.device, steps: int) -> dict[str, Any]:
    try:
        import onnxruntime as ort

        from benchmarks.gpu import core
    except ImportError as error:
        raise Skip(str(error)) from None
    providers = ort.get_available_providers()
    if device.type == "cuda":
        if "CUDAExecutionProvider" not in providers:
            raise Skip(f"ONNX Runtime has no CUDA here: {', '.join(providers)}")
        ort.preload_dlls()  # CUDA's libraries from torch's packages
    inputs = core.read_inputs(inputs_at)
    session = core.open_session((inputs_at / "fp16.onnx").read_bytes(), device.type)
    reference = np.load(inputs_at / "reference.npz")
    feeds = inputs.feeds(reference["rows"].tolist())
    (logits,) = session.run(["logits"], feeds)
    shown = feeds["attention_mask"] == 1
    found = {"providers": providers, **distance(logits[shown], reference["logits"][shown], "float16")}
    for pieces in (LARGE, 64):
        batches = [inputs.feeds(rows) for rows in itertools.islice(inputs.batches(pieces), steps)]
        for one in batches:  # buffers and CUDA graphs, once a shape
            session.run(["logits"], one)
        taken = []
        for one in batches:
            began = time.perf_counter()
            session.run(["logits"], one)
            taken.append(time.perf_counter() - began)
        shown_pieces = sum(int(one["attention_mask"].sum()) for one in batches)
        name = f"batches of {pieces} pieces"
        median, p95 = 1000 * np.quantile(taken, [0.5, 0.95])
        found[name] = {
            "median_ms": float(median),
            "p95_ms": float(p95),
            "pieces_per_s": shown_pieces / sum(taken),
        }
    return found


def distance(logits: Any, exact: Any, kind: str) -> dict[str, Any]:
    """How far (words, K) logits are from the exact ones, the largest first."""
    deltas = np.abs(logits.astype(np.float32) - exact)
    return {
        "largest_logit_delta": float(deltas.max()),
        "mean_logit_delta": float(deltas.mean()),
        "same_label": float((logits.argmax(-1) == exact.argmax(-1)).mean()),
        "within_bounds": bool(deltas.max() <= BOUNDS[kind]),
    }


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def starts_without_workspace_config(device: torch.device) -> bool:
    """Whether torch multiplies matrices under deterministic algorithms where CUBLAS_WORKSPACE_CONFIG is not set."""
    code = f"import torch; torch.use_deterministic_algorithms(True); x = torch.ones(8, 8, device='{device}'); x @ x"
    environment = {name: value for name, value in os.environ.items() if name != "CUBLAS_WORKSPACE_CONFIG"}
    return (
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False).returncode == 0
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/gpu.sh", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--inputs", type=Path, default=Path("benchmarks/.cache/inputs"))
    parser.add_argument("--results", type=Path, default=machine.RESULTS, help="folder of the JSON")
    parser.add_argument("--steps", type=int, help="training steps of each arm; 60, on the CPU 2")
    options = parser.parse_args()
    device = torch.device(options.device)
    steps = options.steps or (60 if device.type == "cuda" else 2)
    facts = machine.facts()
    slug = re.sub(r"\W+", "-", facts["gpu"] if device.type == "cuda" and facts["gpu"] else facts["processor"]).strip(
        "-"
    )
    result: dict[str, Any] = {"device": str(device), "cuda": torch.version.cuda, "onnxruntime": version("onnxruntime")}
    parts: dict[str, Callable[..., dict[str, Any]]] = {"training": training, "processes": processes, "serving": serving}
    good = True
    for name, part in parts.items():
        began = time.perf_counter()
        try:
            result[name] = part(options.inputs, device, steps)
            good &= result[name]["within_bounds"]
        except Skip as reason:
            result[name] = {"skipped": str(reason)}
            print(f"{name}: skipped: {reason}", flush=True)
        except Exception:
            result[name] = {"failed": traceback.format_exc()}
            good = False
            print(f"{name}: failed\n{result[name]['failed']}", flush=True)
        result[name]["seconds"] = round(time.perf_counter() - began, 1)
        machine.save(f"gpu-{slug}.json", result, options.results)
    sys.exit(not good)


def version(package: str) -> str | None:
    """The version of a package or of its build for GPUs; None where neither is installed."""
    for name in (f"{package}-gpu", package):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


if __name__ == "__main__":
    main()
