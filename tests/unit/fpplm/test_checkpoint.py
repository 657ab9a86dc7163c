"""Which runs share a checkpoint: a stale one must never be resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fpplm.pipeline.fingerprint import Fingerprint
from fpplm.pipeline.inputs import INPUTS
from fpplm.pipeline.paths import CORPUS, ENCODED
from fpplm.session import checkpoint
from fpplm.session.checkpoint import Checkpoint, run_inputs
from fpplm_core.data.settings import EncodeSettings

CODE = Fingerprint("3.11", {"fpplm_core.training.loop": "a" * 64}, {}, {"torch": "2.13.0"})
SETTINGS = EncodeSettings(window=64, stride=16, context=0)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in (ENCODED / "train.arrow", INPUTS / "encoder.json", INPUTS / "start.json", CORPUS / "dev.parquet"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("first")
    monkeypatch.setattr(checkpoint, "fingerprint", lambda _: CODE)


CHANGES: dict[str, Callable[[pytest.MonkeyPatch], object]] = {
    "encoded data": lambda _: (ENCODED / "train.arrow").write_text("other"),
    "weights of the encoder": lambda _: (INPUTS / "encoder.json").write_text("other"),
    "model to start from": lambda _: (INPUTS / "start.json").write_text("other"),
    "annotations of dev": lambda _: (CORPUS / "dev.parquet").write_text("other"),
    "installed core": lambda patch: patch.setattr(
        checkpoint, "fingerprint", lambda _: replace(CODE, modules={"fpplm_core.training.loop": "b" * 64})
    ),
    "library": lambda patch: patch.setattr(checkpoint, "fingerprint", lambda _: replace(CODE, packages={"torch": "3"})),
    "threads": lambda patch: patch.setattr(torch, "get_num_threads", lambda: 64),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_run_with_other_inputs_has_another_checkpoint(
    change: Callable[[pytest.MonkeyPatch], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Checkpoint.of(run_inputs(SETTINGS)).folder
    assert Checkpoint.of(run_inputs(SETTINGS)).folder == before
    change(monkeypatch)
    assert Checkpoint.of(run_inputs(SETTINGS)).folder != before


def test_other_settings_have_another_checkpoint() -> None:
    assert (
        Checkpoint.of(run_inputs(SETTINGS)).folder
        != Checkpoint.of(run_inputs(SETTINGS.model_copy(update={"context": 8}))).folder
    )
