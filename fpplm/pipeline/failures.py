"""Turns errors into one line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fpplm.pipeline.paths import LAST_ERROR
from fpplm_core.errors import DataError, FpplmError, InputsChanged, RegistryError, StorageError
from fpplm_core.escaping import printable
from fpplm_core.files import write_text

INTERRUPTED = 130
LOOP = "Symlink loop from "  # begins what Path.resolve says up to Python 3.12
HTTP = ("prometheus_client", "starlette", "uvicorn")  # what the extra `http` adds to `serve`
OWN = ("fpplm", "fpplm_core", "tasks", "flows")
RETRYABLE = (StorageError, InputsChanged, RegistryError)  # a retry may help
FINAL_CODES = {kind.exit_code for kind in FpplmError.__subclasses__() if kind not in RETRYABLE} | {INTERRUPTED}


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turns every error into one line on stderr and the exit code that `fpplm_core.errors` documents.

    `--debug`, or FPPLM_DEBUG=1, shows tracebacks.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted; the same command continues from the last checkpoint", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:
        if "--debug" in sys.argv or os.environ.get("FPPLM_DEBUG") == "1":
            traceback.print_exc()
        known = as_fpplm_error(error)
        if "DVC_STAGE" in os.environ:  # the flow reports why a stage failed, but sees only its exit code
            with suppress(OSError):
                write_text(LAST_ERROR, f"{known or f'{type(error).__name__}: {error}'}\n")
        if known is None:
            said = "\n".join(map(printable, str(error).split("\n")))
            print(f"error: unexpected {type(error).__name__}: {said}; run again with --debug", file=sys.stderr)
            sys.exit(1)
        print(f"error: {known}", file=sys.stderr)
        sys.exit(known.exit_code)


def as_fpplm_error(error: Exception) -> FpplmError | None:
    """The error itself, or an operating system error in terms of the user; None for a bug."""
    if isinstance(error, FpplmError):
        return error
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] not in OWN:
        package = error.name.partition(".")[0]
        alone = ", or serve to use bundles alone" if package == "typer" else ""  # without any extra
        extra = "http" if package in HTTP else "ray" if package == "ray" else "pipeline"
        return FpplmError(f"this needs the Python package {package}", do=f"install the extra {extra} of fpplm{alone}")
    causes = {errno.ENOSPC: "the disk is full", errno.EROFS: "read-only", errno.EACCES: "permission denied",
              errno.EDQUOT: "the disk quota is used up", errno.EPERM: "operation not permitted"}  # fmt: skip
    number = getattr(error, "errno", None)
    if isinstance(error, OSError) and number in causes:
        place = str(error.filename or "output")
        return StorageError(
            f"cannot write ({causes[number]})", where=place, do="free some space or fix the permissions, then run again"
        )
    if isinstance(error, OSError) and number in (errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP):
        return DataError(error.strerror or "", where=str(error.filename or ""), do="name another file or folder")
    if isinstance(error, RuntimeError) and str(error).startswith(LOOP):
        return DataError("a link that leads to itself", got=str(error).removeprefix(LOOP), do="name another")
    return None


class StageError(FpplmError):
    """A stage exited with a nonzero code; the stage itself has printed its message."""

    def __init__(self, stage: str, code: int) -> None:
        cause = LAST_ERROR.read_text(encoding="utf-8").strip() if LAST_ERROR.exists() else ""
        got = f"exit code {code}" + (f" ({cause})" if cause else "")
        super().__init__(f"the stage {stage} failed", got=got, do=f"to run it by hand: dvc repro {stage}")
        self.exit_code = code if code > 0 else 1
        self.is_final = code in FINAL_CODES
