"""A run's checkpoint: a folder under .fpplm/checkpoints, named by a digest of everything that the run depends on.

It lies outside DVC's outputs, so that a killed run can resume from it; a run with other inputs never uses it. DVC does
not verify its bytes, so each file contains a digest of its content.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from filelock import FileLock, Timeout

from fpplm.pipeline.fingerprint import digest as code_digest
from fpplm.pipeline.fingerprint import fingerprint
from fpplm.pipeline.inputs import INPUTS
from fpplm.pipeline.paths import CORPUS, ENCODED, SCRATCH, TRAIN_LOCK
from fpplm_core.errors import FpplmError
from fpplm_core.files import file_sha256, write_tensors
from fpplm_core.model.digest import weights_sha256
from fpplm_core.settings import Settings
from fpplm_core.training.history import TrainingHistory
from fpplm_core.training.state import TrainingState

Tensors = dict[str, torch.Tensor]
STATE, BEST = "state.safetensors", "best.safetensors"
WAIT = 60  # seconds that another process of a killed run may still need to end


def training_lock(rank: int) -> AbstractContextManager[object]:
    """The lock of this project's training: two processes that write one checkpoint would mix two moments of a run.

    The first process of a run holds it, as it alone writes. The operating system releases it however that one ends.

    Raises:
        FpplmError: another process holds it.
    """
    if rank:
        return nullcontext()
    SCRATCH.mkdir(exist_ok=True)
    try:
        return FileLock(TRAIN_LOCK).acquire(timeout=WAIT)
    except Timeout:
        raise FpplmError(
            "another process is training in this project", where=str(TRAIN_LOCK), do="wait until it ends, or stop it"
        ) from None


def run_inputs(*sections: Settings) -> dict[str, str]:
    """The digests of what a run depends on: settings, data with encoder and start, code with libraries.

    The windows contain train's labels; dev's are in the corpus alone.
    """
    settings = "\n".join(section.model_dump_json() for section in sections)
    inputs = [INPUTS / "encoder.json", INPUTS / "start.json", CORPUS / "dev.parquet"]
    files = sorted([*ENCODED.iterdir(), *filter(Path.exists, inputs)])
    data = "".join(f"{path}\0{file_sha256(path)}\0" for path in files)
    return {
        "settings": hashlib.sha256(settings.encode()).hexdigest(),
        "data": hashlib.sha256(os.fsencode(data)).hexdigest(),
        "code": code_digest([fingerprint("tasks.train")]),
    }


class Checkpoint:
    """A folder with the whole state of a run (`state.safetensors`, its history inside) and its best weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, inputs: Mapping[str, str]) -> Checkpoint:
        """The checkpoint of the run with these `run_inputs` and this number of threads."""
        digest = hashlib.sha256(f"{sorted(inputs.items())} {torch.get_num_threads()}".encode())
        return cls(SCRATCH / "checkpoints" / digest.hexdigest()[:16])

    def discard_damaged(self) -> bool:
        """Removes the whole checkpoint if one of its files is damaged; returns whether it did."""
        try:
            damaged = any(_digest(*_load(file)) != _sealed(file) for file in self.folder.glob("*.safetensors"))
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError):  # truncated, or its header is damaged
            damaged = True
        if damaged:
            self.remove()
        return damaged

    def history(self) -> TrainingHistory:
        """The history so far; an empty one if there is no checkpoint."""
        path = self.folder / STATE
        return TrainingHistory.from_json(_metadata(path)["history"]) if path.exists() else TrainingHistory()

    def tensors(self) -> Tensors:
        """The whole state at the last save."""
        return dict(safetensors.torch.load_file(self.folder / STATE))

    def best(self) -> Tensors:
        """The averaged weights of the best epoch."""
        return dict(safetensors.torch.load_file(self.folder / BEST))

    def save(self, state: TrainingState, history: TrainingHistory) -> None:
        _save(self.folder / STATE, state.tensors(), history.to_json())

    def save_best(self, state: TrainingState) -> None:
        _save(self.folder / BEST, state.average, "")

    def remove(self) -> None:
        shutil.rmtree(self.folder)


def _save(file: Path, tensors: Tensors, history: str) -> None:
    write_tensors(file, tensors, {"history": history, "sha256": _digest(tensors, history)})


def _load(file: Path) -> tuple[Tensors, str]:
    return safetensors.torch.load_file(file), _metadata(file)["history"]


def _sealed(file: Path) -> str:
    return _metadata(file)["sha256"]


def _metadata(file: Path) -> dict[str, str]:
    with safetensors.safe_open(file, "pt") as opened:
        return dict(opened.metadata())


def _digest(tensors: Tensors, history: str) -> str:
    """sha256 over the history and the names, shapes and bytes of the tensors."""
    return hashlib.sha256((weights_sha256(tensors) + history).encode()).hexdigest()
