"""The class that a module of a technique defines."""

from __future__ import annotations

from types import ModuleType
from typing import TypeVar

from fpplm_core.errors import FpplmError

T = TypeVar("T")


def own_class(module: ModuleType, kind: type[T]) -> type[T]:
    """The one subclass of `kind` that a module defines itself. Raises FpplmError if it defines none, or several."""
    kinds = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, kind)]
    own = [one for one in kinds if one.__module__ == module.__name__]
    if len(own) != 1:
        what, do = f"must define one {kind.__name__} class", "define it there, and any other in a module of its own"
        raise FpplmError(what, where=str(module.__file__), got=str(len(own)), do=do)
    return own[0]
