"""Which number format a training takes on a GPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fpplm.session.precision import choose_precision


class OnGpu:
    def parameters(self) -> Any:
        return iter([SimpleNamespace(device=torch.device("cuda"))])


@pytest.mark.parametrize(("card", "wanted"), [("V100", False), ("T4", False), ("A100", True)])
def test_bfloat16_only_where_the_card_computes_in_it(monkeypatch: pytest.MonkeyPatch, card: str, wanted: bool) -> None:
    """V100 and T4 emulate it, slower than float32; torch calls that supported unless it is asked."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    properties = SimpleNamespace(major={"V100": 7, "T4": 7, "A100": 8}[card])
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda _: True)
    settings = SimpleNamespace(precision="auto")
    assert choose_precision(settings, OnGpu(), None) is wanted  # type: ignore[arg-type]
