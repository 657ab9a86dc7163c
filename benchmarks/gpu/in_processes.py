"""One of the processes that torchrun started for the GPU check: trains all six, and the first prints its numbers."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from benchmarks.gpu import core


def main(inputs_at: str, kind: str, pieces: str, steps: str) -> None:
    cuda = kind == "cuda"
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    torch.use_deterministic_algorithms(True)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    run = core.Run(core.read_inputs(Path(inputs_at)), device, None, int(pieces), False, int(steps))
    warm = max(1, int(steps) // 10)  # the first steps compile kernels and fill the allocator's pool
    trained = run.steps()
    reports = list(itertools.islice(trained, warm))
    dist.barrier()
    began = time.perf_counter()
    reports += trained
    dist.barrier()
    seconds = time.perf_counter() - began
    if dist.get_rank() == 0:
        loss = core.read_losses(reports)[-1]["tag"]
        numbers = {
            "ms_per_step": 1000 * seconds / (int(steps) - warm),
            "last_loss": loss,
            "backend": dist.get_backend(),
        }
        print(json.dumps({"threads": torch.get_num_threads(), **numbers}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
