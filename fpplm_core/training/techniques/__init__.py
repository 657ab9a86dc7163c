"""The techniques of FP-PLM: one module a technique, each with one `Technique` class; the folder is the registry.

A technique's fields are its block in params.yaml, `technique.<module name>`; `technique.active` switches it on.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fpplm_core.errors import FpplmError, ParamsError
from fpplm_core.training.technique import Technique


def available() -> dict[str, type[Technique]]:
    """The technique class of every module in this folder, by module name. Raises FpplmError where one has none."""
    found = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}.technique")
        classes = [value for _, value in inspect.getmembers(module, inspect.isclass) if issubclass(value, Technique)]
        own = [value for value in classes if value.__module__ == module.__name__]
        if len(own) != 1:
            raise FpplmError(
                "a technique's module has one Technique class", where=str(module.__file__), got=str(len(own))
            )
        found[info.name] = own[0]
    return found


def build(section: Mapping[str, Any], where: str = "params.yaml") -> dict[str, Technique]:
    """The active techniques of the `technique` section, by name, in an order that their listing does not change.

    Every block is validated, active or not. Raises ParamsError for an unknown name, key or value.
    """
    known = available()
    active = section.get("active", [])
    if not isinstance(active, list) or not all(isinstance(name, str) for name in active):
        raise ParamsError(
            "a list of names is wanted",
            where=f"{where}: technique.active",
            got=repr(active),
            do="write [] for none, [NAME] for one",
        )
    for name in [*active, *(key for key in section if key != "active")]:
        if name not in known:
            raise ParamsError(
                "unknown technique",
                where=f"{where}: technique",
                got=repr(name),
                do=f"available: {', '.join(known) or 'none yet'}",
            )
    blocks = {name: _block(kind, section.get(name, {}), f"{where}: technique.{name}") for name, kind in known.items()}
    return {name: blocks[name] for name in sorted(set(active))}


def _block(kind: type[Technique], values: Any, where: str) -> Technique:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([where, *(str(part) for part in first["loc"])])
        if first["type"] == "extra_forbidden":
            raise ParamsError("unknown key", where=place, do=f"known here: {', '.join(kind.model_fields)}") from None
        raise ParamsError(first["msg"][0].lower() + first["msg"][1:], where=place, got=repr(first["input"])) from None
