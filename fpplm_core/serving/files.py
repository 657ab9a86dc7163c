"""Reads the files of a bundle, which may come from anywhere: regular files alone, checked after they were opened."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from math import isfinite
from pathlib import Path
from typing import Any

from fpplm_core.errors import BundleError

SHOWN = 200  # characters of a library's message that an error repeats
# A name that is a link cannot be opened, and a pipe without a writer opens at once (and is then refused).
FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
FETCH = "fetch the bundle again"
LINKS = "allow_links=True or --allow-links accepts the links of DVC's and the hub's caches"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@contextmanager
def open_regular(file: Path, allow_links: bool) -> Iterator[BufferedReader]:
    """Opens a regular file to read.

    Raises BundleError for anything else (folder, pipe, device), and without `allow_links` for a symbolic link and for a
    file that has a second name (a hard link).
    """
    try:
        _require_regular(file, file.stat(follow_symlinks=allow_links), allow_links)  # opening a device may act
        opened = os.fdopen(os.open(file, FLAGS | (0 if allow_links else NO_LINK)), "rb")
    except (FileNotFoundError, NotADirectoryError):
        do = "name the bundle's folder, such as ./bundle, or fetch the bundle again"
        raise BundleError("missing from the bundle", where=str(file), do=do) from None
    except OSError as error:
        raise BundleError("cannot be opened", where=str(file), got=str(error.strerror), do=FETCH) from None
    with opened as stream:
        _require_regular(file, os.fstat(stream.fileno()), allow_links)
        yield stream


def _require_regular(file: Path, found: os.stat_result, allow_links: bool) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise BundleError("a link", where=str(file), do=LINKS)
    if not stat.S_ISREG(found.st_mode):
        raise BundleError("not a regular file", where=str(file), do=FETCH)
    if found.st_nlink > 1 and not allow_links:
        raise BundleError("a hard link: the file has another name", where=str(file), do=LINKS)


def read_limited(stream: BufferedReader, file: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes. Raises BundleError if it is larger."""
    raw = stream.read(limit + 1)
    if len(raw) > limit:
        raise BundleError("too large", where=str(file), got=f"more than {limit:,} bytes", do=FETCH)
    return raw


def parse_json(raw: bytes, where: str) -> dict[str, Any]:
    """A JSON object as every reader understands it. Raises BundleError as `parse_json_value` does."""
    value = parse_json_value(raw, where)
    if not isinstance(value, dict):
        raise BundleError("not a JSON object", where=where, got=type(value).__name__, do=FETCH)
    return value


def parse_json_value(raw: bytes, where: str) -> Any:
    """A JSON value as every reader understands it.

    Raises BundleError for anything else: syntax errors, another encoding than UTF-8, NaN, Infinity and numbers as large
    as 1e999, a key given twice, half a surrogate pair, nesting that is too deep, a number of thousands of digits.
    """
    try:
        text = raw.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_float=_finite, parse_constant=_refuse_constant)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise BundleError("not a JSON file of a bundle", where=where, got=one_line(error), do=FETCH) from None
    return value


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _finite(number: str) -> float:
    value = float(number)
    if not isfinite(value):
        raise ValueError(f"{number} is too large")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def one_line(message: object) -> str:
    """A message of a library in one line of printable characters, cut to SHOWN."""
    text = " ".join(str(message).split()) or type(message).__name__
    return "".join(char if char.isprintable() else "?" for char in text)[:SHOWN]
