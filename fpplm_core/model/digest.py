"""The digest of weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def weights_sha256(weights: nn.Module | Mapping[str, Tensor]) -> str:
    """sha256 over the names, shapes and bytes of all weights."""
    digest = hashlib.sha256()
    tensors = weights.state_dict() if isinstance(weights, nn.Module) else weights
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, list(tensor.shape), str(tensor.dtype)]).encode())
        digest.update(tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()
