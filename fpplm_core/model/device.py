"""The device that a process trains on."""

from __future__ import annotations

import torch

from fpplm_core.errors import DeviceError


def choose_device(name: str, number: int = 0, wanted: int = 1) -> torch.device:
    """The device of process `number` of `wanted` on this machine. Raises DeviceError if there are fewer."""
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not found):
        return torch.device("cpu")
    if found < wanted:
        raise DeviceError(
            f"{found or 'no'} CUDA device{'s' if found != 1 else ''}",
            where="train.device",
            got=f"{name} for {wanted} process{'es' if wanted > 1 else ''}",
            do="set it to cpu" if not found else "set it to cpu, or train.processes to at most that",
        )
    return torch.device("cuda", number)
