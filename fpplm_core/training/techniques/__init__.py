"""The techniques of FP-PLM. The folder is the registry: a folder NAME in it is the technique NAME.

`NAME/settings.py` has its block of params.yaml, `technique.NAME`, and imports pydantic alone; `NAME/technique.py` has
the technique itself. `technique.active` switches it on.
"""

from __future__ import annotations

import importlib
import pkgutil

from fpplm_core.errors import FpplmError
from fpplm_core.settings import Settings


def names() -> list[str]:
    """The names of all techniques, sorted."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__))


def settings() -> dict[str, type[Settings]]:
    """The class of every technique's block, by name. Raises FpplmError if a settings.py does not define one."""
    return {name: _settings_of(name) for name in names()}


def _settings_of(name: str) -> type[Settings]:
    module = importlib.import_module(f"{__name__}.{name}.settings")
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Settings)]
    own = [kind for kind in kinds if kind.__module__ == module.__name__]
    if len(own) != 1:
        raise FpplmError("must define one Settings class", where=str(module.__file__), got=str(len(own)))
    return own[0]
