"""Streams the lines of a file or of standard input, and names each line that is no text."""

from __future__ import annotations

import codecs
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fpplm_core.data.text_files import cr_ends, has_cr_ends, unreadable
from fpplm_core.errors import DataError, ParamsError

STDIN = "-"
TEXT_LIMIT = 1_000_000  # characters of a text: with its words and windows it takes some hundred bytes for each
UTF8 = "utf-8-sig"  # without the byte order mark
TAKE_MARK = (UTF8, "utf-16", "utf-32")  # encodings that take a byte order mark away
_BAD_BYTE = re.compile("[\udc00-\udcff]")  # as `_mark` decodes it; no codec decodes to these


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error("fpplm.mark", _mark)


def known_encoding(name: str) -> str:
    """The encoding of this name, UTF-8 without a byte order mark. Raises ParamsError if Python knows none."""
    try:
        b"a".decode(name, "fpplm.mark")  # some encodings exist and decode nothing, or not line by line
        io.TextIOWrapper(io.BytesIO(), encoding=name)
        return UTF8 if codecs.lookup(name).name == "utf-8" else name
    except (LookupError, ValueError):
        do = "use a name that Python knows, such as utf-8, latin-1, cp1252 or utf-16"
        raise ParamsError("unknown encoding", where="--encoding", got=repr(name[:60]), do=do) from None


def is_pipe(name: str) -> bool:
    """Whether an input can be read only once: standard input, or what is neither a file nor a folder."""
    path = Path(name)
    return name == STDIN or (path.exists() and not path.is_file() and not path.is_dir())


def lines_of(name: str, encoding: str, limit: int) -> Iterator[tuple[int, str | DataError]]:
    """(1-based number, line without its end, or why it is no text) for each line of a file, `-` being standard input.

    A line of more than `limit` characters, with bytes that are not of the encoding, or with a zero byte is no text;
    memory stays bounded. Raises DataError if the file cannot be read, or has CR alone as line ends.
    """
    number = 0
    try:
        with _open(name, encoding) as stream:
            while line := stream.readline(limit + 1):
                number += 1
                where = f"{name}:{number}"
                if number == 1 and line[-1] != "\n" and has_cr_ends(_without_mark(line, encoding)):
                    raise cr_ends(name)
                if len(line) > limit and line[-1] != "\n":
                    while (rest := stream.readline(limit)) and rest[-1] != "\n":
                        pass
                    got = f"more than {limit:,} characters"
                    yield number, DataError("the line is too long", where=where, got=got, do="split it")
                elif bad := _BAD_BYTE.search(line):
                    spoken = "UTF-8" if encoding == UTF8 else encoding
                    got = f"byte 0x{ord(bad[0]) - 0xDC00:02x}"
                    do = "correct it, or name the encoding with --encoding, such as latin-1"
                    yield number, DataError(f"not valid {spoken}", where=where, got=got, do=do)
                elif "\0" in line:
                    do = "give text, or name the encoding with --encoding, such as utf-16"
                    yield number, DataError("a zero byte (NUL), which is not text", where=where, do=do)
                else:
                    yield number, (_without_mark(line, encoding) if number == 1 else line).rstrip("\r\n")
    except OSError as error:
        raise unreadable(name, error, do="") from None
    except UnicodeError as error:
        raise _undecodable(name, number + 1, encoding, error) from None


def count_lines(path: Path) -> int:
    """The number of line ends in a file, whatever its encoding. Raises DataError if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return sum(block.count(b"\n") for block in iter(partial(stream.read, 1 << 20), b""))
    except OSError as error:
        raise unreadable(path, error, do="") from None


def _undecodable(name: str, line: int, encoding: str, error: UnicodeError) -> DataError:
    """The reason why a decoder gives up, such as a missing byte order mark."""
    return DataError(f"not valid {encoding}", where=f"{name}:{line}", got=str(error), do="name another with --encoding")


def _without_mark(first: str, encoding: str) -> str:
    """The first line without a byte order mark, which encodings that name the byte order keep as a character."""
    return first if codecs.lookup(encoding).name in TAKE_MARK else first.removeprefix("\ufeff")


def _open(name: str, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(_open_bytes(name), encoding, errors="fpplm.mark", newline="\n")


def _open_bytes(name: str) -> io.BufferedReader:
    return open(0 if name == STDIN else name, "rb", closefd=name != STDIN)


@contextmanager
def local_file(name: str, encoding: str) -> Iterator[Path]:
    """A path whose content is UTF-8 or binary, as the formats read it: the file itself, or else a temporary copy.

    A pipe is copied, and a file of another encoding is converted. Raises DataError, naming the line.
    """
    if encoding == UTF8 and not is_pipe(name):
        yield Path(name)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"copy{Path(name).suffix}"
        try:
            if encoding == UTF8:
                with _open_bytes(name) as source, copy.open("wb") as target:
                    shutil.copyfileobj(source, target)
            else:
                with _open(name, encoding) as stream, copy.open("w", encoding="utf-8", newline="\n") as out:
                    for number, line in enumerate(stream, start=1):
                        if bad := _BAD_BYTE.search(line):
                            got = f"byte 0x{ord(bad[0]) - 0xDC00:02x}"
                            raise DataError(f"not valid {encoding}", where=f"{name}:{number}", got=got)
                        out.write(_without_mark(line, encoding) if number == 1 else line)
        except OSError as error:
            raise unreadable(name, error, do="") from None
        except UnicodeError as error:
            raise _undecodable(name, 1, encoding, error) from None
        yield copy


def require_files(names: Iterable[str], *outputs: str) -> None:
    """Raises DataError if an input does not exist, or if an output cannot be a file, or is an input or another output.

    `-` is standard input or output.
    """
    paths = [Path(output) for output in outputs if output != STDIN]
    for place, output in enumerate(paths):
        if output.is_dir() or not output.parent.is_dir():
            raise DataError("no file can be written there", where=str(output), do="name a file in a folder that exists")
        if any(_is_same(output, other) for other in paths[:place]):
            raise DataError("two outputs in one file", where=str(output), do="name another output")
    for name in names:
        if name == STDIN:
            continue
        if not Path(name).exists():
            raise DataError("no such file", where=name)
        for output in paths:
            if _is_same(output, Path(name)):
                raise DataError("the output is an input", where=str(output), do="name another output")


def require_folder(folder: Path) -> None:
    """Raises ParamsError unless there is such a folder, or it can be made."""
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise ParamsError("not a folder", where=str(there), do="name a new folder")


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def require_rereadable(names: Iterable[str]) -> None:
    """Raises ParamsError for an input that can be read only once."""
    for name in names:
        if is_pipe(name):
            got = "standard input" if name == STDIN else name
            raise ParamsError("an input that cannot be read twice", where="--shard", got=got, do="name regular files")
