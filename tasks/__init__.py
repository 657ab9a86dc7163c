"""The stages of dvc.yaml: one module a stage, run as `python -m tasks.NAME`.

A stage reads its files, calls the core, and writes its files. This module holds what all of them share: where
files stand, how they are read and written, and how an error becomes one line and an exit code.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from fpplm_core.errors import DataError, FpplmError, StorageError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

# None of the libraries below is to report anything to anybody, unless the user has said so.
# oneDNN keeps 0.3 MB for each shape of a bfloat16 product: of 1,024, as by default, as much as the model takes.
for _variable, _value in {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}.items():
    os.environ.setdefault(_variable, _value)

SPLITS = ("train", "dev", "test")
CORPUS = Path("build/corpus")
ENCODED = Path("build/encoded")
MODEL = Path("build/model")
PREDICTIONS = Path("build/predictions")
GRAPHS = Path("build/onnx")
BUNDLE = Path("bundle")
METRICS = Path("metrics")
REPORTS = Path("reports")
SCRATCH = Path(".fpplm")
LAST_ERROR = SCRATCH / "error.txt"
BATCH = 10_000  # sentences that a stage holds at a time
WATCHED = "FPPLM_END_WITH"  # the number of the process that has started a stage, where that is not DVC
GRACE = 2.0  # seconds in which a stage that Ctrl-C has reached as well ends by itself, and says so
SHELLS = {"sh", "dash", "bash", "zsh", "ksh", "fish", "cmd.exe"}


def end_with_parent() -> None:
    """Ends this stage when what started it is gone: killed with -9, DVC or an ablation cannot end its stages."""
    with suppress(psutil.NoSuchProcess):  # it is gone already
        if WATCHED in os.environ:
            process: psutil.Process | None = psutil.Process(int(os.environ[WATCHED]))
        else:
            process = psutil.Process().parent()
            if process and process.name().lower() in SHELLS:  # some shells stay between, others become the command
                process = process.parent()
        if process:
            process.wait()
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGTERM)


if {"DVC_STAGE", WATCHED} & set(os.environ):  # before the stage imports what takes seconds
    threading.Thread(target=end_with_parent, daemon=True).start()


def run(stage: Callable[[], None]) -> None:
    """Runs a stage as a command. `--debug`, or FPPLM_DEBUG=1, shows tracebacks."""
    from tasks.frozen import frozen_inputs  # only stages need it

    debug = "--debug" in sys.argv[1:] or os.environ.get("FPPLM_DEBUG") == "1"
    with exit_on_error(debug), frozen_inputs(os.environ.get("DVC_STAGE")):
        stage()


@contextmanager
def exit_on_error(debug: bool) -> Iterator[None]:
    """Turns every error into one line on stderr and the exit code that `fpplm_core.errors` documents."""
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: not an error
        sys.exit(0)
    except Exception as error:
        if debug:
            traceback.print_exc()
        known = as_fpplm_error(error)
        if "DVC_STAGE" in os.environ:  # the flow says why a stage failed, and sees no more of it than its exit code
            with suppress(OSError):
                write_text(LAST_ERROR, f"{known or f'{type(error).__name__}: {error}'}\n")
        if known is None:
            print(f"error: unexpected {type(error).__name__}: {error}; run again with --debug", file=sys.stderr)
            sys.exit(1)
        print(f"error: {known}", file=sys.stderr)
        sys.exit(known.exit_code)


def as_fpplm_error(error: Exception) -> FpplmError | None:
    """The error itself, or what the operating system's error means to a user; None for a defect."""
    if isinstance(error, FpplmError):
        return error
    causes = {errno.ENOSPC: "the disk is full", errno.EROFS: "read-only", errno.EACCES: "not allowed",
              errno.EDQUOT: "the disk quota is used up", errno.EPERM: "not allowed"}  # fmt: skip
    number = getattr(error, "errno", None)
    if isinstance(error, OSError) and number in causes:
        place = str(error.filename or "output")
        return StorageError(f"cannot write ({causes[number]})", where=place, do="free or change the place, run again")
    return None


def write_json(path: Path, value: Any) -> None:
    """Readable, with keys in their given order, and in place as a whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to be filled, in place of `path` where that has succeeded."""
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str] | None = None) -> None:
    """A safetensors file, in place as a whole or not at all. Raises StorageError."""
    import safetensors.torch

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        safetensors.torch.save_file({k: v.contiguous() for k, v in tensors.items()}, partial, metadata)
    except Exception as error:  # safetensors reports a full disk as its own error
        raise StorageError(f"cannot be written ({error})", where=str(path), do="free or change the place") from None
    partial.replace(path)


def read_json(path: Path) -> Any:
    """Raises DataError where the file, made by an earlier stage, is missing."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("made by an earlier stage, and missing", where=str(path), do="run: dvc repro") from None


def write_table(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    """A Parquet file, a row group a batch, in place as a whole or not at all."""
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
    partial.replace(path)


def open_table(path: Path) -> ParquetFile:
    """Raises DataError where the file, made by an earlier stage, is missing."""
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise DataError("made by an earlier stage, and missing", where=str(path), do="run: dvc repro") from None
