"""What each of two processes does for test_parallel.py: trains every case, and writes what it saw to OUT/RANK."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import safetensors.torch
import torch

from fpplm.session.processes import process_group, require_same_inputs
from fpplm_core.errors import FpplmError
from fpplm_core.files import write_json
from fpplm_core.model import parallel
from tests.contracts.test_parallel import CASES, trained

SECONDS = 10.0  # that a process waits for one that hangs


def draw_noise() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    with parallel.local_rows({"rows": torch.arange(5)}) as inputs:
        within = torch.rand(3)
    everything = parallel.all_gather_rows(inputs["rows"].double(), torch.arange(5))
    return {"rows": inputs["rows"], "within": within, "after": torch.rand(3), "all": everything}


def exchange() -> dict[str, torch.Tensor]:
    rank = float(parallel.rank())
    sums, means = [torch.full((2,), rank), torch.full((1, 1), 1 + rank)], [torch.full((2,), rank)]
    parallel.all_reduce_sum(sums)
    parallel.all_reduce_mean(means)
    given = {"a": torch.arange(3), "b": torch.tensor(0.5, dtype=torch.bfloat16)} if not rank else {}
    return {"sum": sums[0], "sums": sums[1], "mean": means[0], **parallel.broadcast_tensors(given)}


def message(action: Callable[[], None]) -> str:
    try:
        action()
    except FpplmError as error:
        return str(error)
    return ""


def save(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)


def main(encoder: Path, out: Path) -> None:
    rank = int(os.environ["RANK"])
    said: dict[str, object] = {}
    own = out / str(rank)
    own.mkdir()
    try:
        with process_group(2, "cpu", timeout=SECONDS):
            said |= {"size": parallel.size(), "rank": parallel.rank()}
            runs = {**{case: partial(trained, encoder, names) for case, names in CASES.items()},
                    **dict.fromkeys(("dropout", "again"), partial(trained, encoder, [], dropout=True))}  # fmt: skip
            for name, run in runs.items():
                save(own / name, run().tensors())
            save(own / "noise", draw_noise())
            save(own / "exchange", exchange())
            weights = [torch.ones(3), torch.zeros(2, 2)]
            said["equal"] = message(lambda: parallel.require_equal_weights(weights, step=7))
            weights[1][1, 0] = rank * torch.finfo(torch.float32).tiny
            said["perturbed"] = message(lambda: parallel.require_equal_weights(weights, step=7))
            said["inputs"] = message(lambda: require_same_inputs({"code": "a", "settings": "b" if rank else "a"}))
            said["any"] = [parallel.any_process(rank == 1), parallel.any_process(False)]
            if rank == 1:
                write_json(own / "said.json", said)
                time.sleep(3 * SECONDS)  # it hangs, and ends without an answer
                os._exit(0)
            parallel.gather(1)
    except FpplmError as error:
        said["hang"] = str(error)
    write_json(own / "said.json", said)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
