"""examples/operations.py as a user runs it, with a tiny encoder: schedule, drops, promotion, rollback, reproduction."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from tests.project import ROOT, kill_group, write_guard

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
    environment = {**os.environ, "PYTHONPATH": str(write_guard(tmp_path))}
    environment.pop("PREFECT_HOME", None)  # it may be shared with a project whose server is still up
    process = subprocess.Popen(
        [*command, f"model.encoder={tiny_encoder}", *SETTINGS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    )
    try:
        output, errors = process.communicate(timeout=1800)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children(recursive=True):  # `fpplm up` has a session of its own
            with suppress(psutil.NoSuchProcess):
                child.kill()
        raise
    finally:
        with suppress(ProcessLookupError):  # all have ended
            kill_group(process)
    assert process.returncode == 0, output + errors
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
    assert [line.strip() for line in output.splitlines() if line.strip() in steps] == steps
