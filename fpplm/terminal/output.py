"""Keeps a program alive after its reader has gone: its work and its exit code do not depend on who reads along."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any


class Output(io.FileIO):
    """A file descriptor that becomes /dev/null once its reader has closed the pipe."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            discard(self.fileno())
            return super().write(data)


def outlive_readers() -> None:
    """Lets this process go on after the reader of stdout or stderr has closed the pipe, as `| head` does.

    It also goes on where stdout or stderr is closed from the beginning, as by `>&-`.
    """
    for descriptor in range(3):  # otherwise the next file that is opened is what this process, or a child, writes to
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_WRONLY), True)  # takes the lowest free number: this one
    sys.stdout, sys.stderr = _outliving(sys.stdout), _outliving(sys.stderr)


def is_closed(stream: Any) -> bool:
    """Whether a standard stream was closed from the beginning."""
    return stream is None or str(getattr(stream, "name", "")) == os.devnull


def _outliving(stream: Any) -> Any:
    if stream is None:  # print() would take another stream
        return Path(os.devnull).open("w", encoding="utf-8", errors="backslashreplace")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = Output(stream.fileno(), "w", closefd=False)
    binary: Any = raw if stream.write_through else io.BufferedWriter(raw)  # with PYTHONUNBUFFERED, nothing waits
    return io.TextIOWrapper(binary, stream.encoding, stream.errors, None, stream.line_buffering, stream.write_through)


def discard(descriptor: int) -> None:
    """Makes a file descriptor one of /dev/null."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
