"""examples/operations.py as a user runs it, with a tiny encoder: schedule, drops, promotion, rollback, reproduction."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.project import ROOT, write_guard

SETTINGS = (
    "encode.window=64",
    "encode.stride=16",
    "train.epochs=6",
    "train.lr=1e-3",
    "train.head_lr=1e-2",
    "train.precision=float32",
    "model.shapes=on",
    "promotion.min_speed=0",
)


def test_from_new_data_to_production_and_back(tiny_encoder: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples/operations.py"), str(tmp_path / "place")]
    done = subprocess.run(
        [*command, f"model.encoder={tiny_encoder}", *SETTINGS],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
        env={**os.environ, "PYTHONPATH": str(write_guard(tmp_path))},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [
        "verdict: hold",
        "in production: v1.0.0",
        "in production: v2.0.0",
        "verdict: failed",
        "the service has v2: True",
        "fpplm up has stopped with 0",
        "the service has v1: True",
        "reproduced: identical",
        "every step succeeded",
    ]
    assert [line.strip() for line in done.stdout.splitlines() if line.strip() in steps] == steps
