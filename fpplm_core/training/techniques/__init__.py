"""The techniques of FP-PLM. The folder is the registry: a folder NAME in it is the technique NAME.

`NAME/settings.py` has its block of params.yaml, `technique.NAME`, and is read without torch; `NAME/technique.py` has
the technique itself. `technique.active` switches it on.
"""

from __future__ import annotations

import importlib
import pkgutil

from fpplm_core.settings import Settings
from fpplm_core.training.own_class import own_class


def names() -> list[str]:
    """The names of all techniques, sorted."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__))


def settings() -> dict[str, type[Settings]]:
    """The class of every technique's block, by name. Raises FpplmError if a settings.py does not define one."""
    return {name: own_class(importlib.import_module(f"{__name__}.{name}.settings"), Settings) for name in names()}
