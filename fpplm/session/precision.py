"""Chooses the number format of a training by measurement."""

from __future__ import annotations

import time

import torch

from fpplm_core.model import parallel
from fpplm_core.model.tagger import Tagger
from fpplm_core.training.data import TrainingData, make_batch
from fpplm_core.training.settings import TrainSettings


def choose_precision(settings: TrainSettings, model: Tagger, data: TrainingData) -> bool:
    """True for bfloat16: as `train.precision` says or, for auto, where it is faster; all processes choose alike.

    It is faster on a GPU whose cores compute in it (others emulate it), or on a CPU whose passes are 1.2 times as fast.
    """
    if settings.precision != "auto":
        return settings.precision == "bfloat16"
    device = next(model.parameters()).device
    if device.type == "cuda":
        return parallel.gather(bool(torch.cuda.is_bf16_supported(including_emulation=False)))[0]
    batch = make_batch(data, data.epochs[0][0])
    seconds: dict[bool, list[float]] = {False: [], True: []}
    model.eval()
    for _ in range(6):  # interleaved; the first pair is a warm-up, enough to see bfloat16 that is only emulated
        for bfloat16, taken in seconds.items():
            began = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                model.classify(model.encode(batch.ids, batch.mask, batch.types)).sum().backward()  # type: ignore[no-untyped-call]
            taken.append(time.perf_counter() - began)
            model.zero_grad(set_to_none=True)
        if parallel.any_process(seconds[True][0] > 5 * seconds[False][0]):
            return False
    faster = min(seconds[False]) > 1.2 * min(seconds[True])  # other work on the machine can only make a step longer
    return parallel.gather(faster)[0]
