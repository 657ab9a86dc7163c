"""Streams the lines of UTF-8 files."""

from __future__ import annotations

import codecs
import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from fpplm_core.errors import DataError

LONGEST_LINE = 2**28  # bytes of a line, which stands in memory several times: a whole JSON export may be one line
HEAD = 65536  # bytes at the beginning of a file that are searched for zeros
CONVERT = "convert its line ends, for instance: tr '\\r' '\\n' < FILE"
_JSON = re.compile(r'\s*[\[{]\s*(?:["\[{]|\Z)')  # whose white space CR is


def read_lines(path: Path | str) -> Iterator[str]:
    """Streams the lines of a UTF-8 file, without newlines and byte order mark.

    Raises DataError for a path that is missing, is a folder, cannot be read, or holds bytes that are not text, for a
    line of more than LONGEST_LINE bytes, and for line ends that are CR alone.
    """
    path = Path(path)
    try:
        with io.BufferedReader(io.FileIO(path), HEAD) as stream:
            if b"\0" in stream.peek(HEAD):
                raise DataError("not a text file (it holds zero bytes)", where=str(path), do="give UTF-8 text")
            status = os.fstat(stream.fileno())
            is_short = stat.S_ISREG(status.st_mode) and status.st_size <= LONGEST_LINE
            lines = stream if is_short else _bounded(stream, path)
            for number, raw in enumerate(lines, start=1):  # bytes split only at newlines, str also elsewhere
                line = _decode(raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw, f"{path}:{number}")
                if number == 1 and raw[-1:] != b"\n" and has_cr_ends(line):
                    raise cr_ends(str(path))
                yield line
    except OSError as error:
        raise unreadable(path, error) from None


def has_cr_ends(text: str) -> bool:
    """Whether a file without any LF has lines that CR alone ends, as on an old Mac; in JSON, CR is white space."""
    return "\r" in text.strip("\r") and not _JSON.match(text)


def refuse_cr_rows(line: str, width_of: Callable[[str], int], where: str) -> None:
    """Raises DataError for a line of a table that CR divides into rows of equal width."""
    rows = [row for row in line.split("\r") if row.strip()]
    if len(rows) > 1 and width_of(rows[0]) > 1 and len(set(map(width_of, rows))) == 1:
        raise cr_ends(where)


def cr_ends(where: str) -> DataError:
    """The reason why a file with such line ends is not read."""
    return DataError("line ends are CR alone", where=where, do=CONVERT)


def require_source(path: Path) -> None:
    """Raises DataError for a path that cannot be read twice, such as a pipe, or whose name is not UTF-8."""
    require_name(path)
    try:
        kind = path.stat().st_mode
    except OSError:
        return  # whoever opens it says why
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        do = "give a file: a pipe can be read only once"
        raise DataError("neither a file nor a folder", where=str(path), do=do)


def require_name(path: Path) -> None:
    """Raises DataError for a path whose name is not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise DataError("a name that is not UTF-8", where=str(path), do="rename it") from None


def unreadable(path: Path | str, error: OSError, do: str = "check the path in params.yaml (data.*)") -> DataError:
    """The reason why a file cannot be read; `do` is for a missing one."""
    if isinstance(error, FileNotFoundError):
        return DataError("no such file", where=str(path), do=do)
    if isinstance(error, IsADirectoryError):
        return DataError("a folder, expected a file", where=str(path), do="name the file")
    do = "check its permissions, and the disk"
    return DataError(f"cannot be read ({error.strerror or error})", where=str(path), do=do)


def damaged(kind: str, where: str, error: Exception) -> DataError:
    """The reason why a library cannot read a file of this kind."""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return DataError(f"not a readable {kind} ({reason})", where=where, do="write it again")


def _bounded(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """The lines of a file that may have a line that is too long; slower than iterating over the stream."""
    for number, raw in enumerate(iter(partial(stream.readline, LONGEST_LINE + 1), b""), start=1):
        if len(raw) > LONGEST_LINE:
            do = "put one sentence, item or text on each line"
            raise DataError(f"a line of more than {LONGEST_LINE} bytes", where=f"{path}:{number}", do=do)
        yield raw


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise DataError(
            "not valid UTF-8",
            where=where,
            got=f"byte 0x{raw[error.start]:02x}",
            do="convert it first, for instance: iconv -f latin1 -t utf8",
        ) from None
