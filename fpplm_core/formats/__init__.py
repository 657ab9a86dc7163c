"""Data formats: one module a format, each with `read(path, columns)` and `write(sentences, stream)`.

The folder is the registry: a module in here is a format of that name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, TextIO, cast

from fpplm_core.errors import ParamsError
from fpplm_core.text import Sentence


class Columns(Protocol):
    """Where a column format keeps words and tags, 0-based, negative from the right."""

    word_column: int
    tag_column: int


class Format(Protocol):
    def read(self, path: Path, columns: Columns) -> Iterator[Sentence]:
        """Sentences in file order. Raises DataError naming the file and line."""
        ...

    def write(self, sentences: Iterable[Sentence], stream: TextIO) -> None:
        """The inverse of `read` with the default columns."""
        ...


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> Format:
    """The format of this name. Raises ParamsError where there is none."""
    if name not in names():
        raise ParamsError("unknown format", where="data.format", got=repr(name), do=f"use one of {', '.join(names())}")
    return cast(Format, importlib.import_module(f"{__name__}.{name}"))
