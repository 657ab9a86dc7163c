"""Splits annotated texts into words, by a rule or by a user's own function, the only code that a parameter can name.

Whoever runs fpplm names such a function: in `data.segmentation`, or with `--segmenter` on the command line. A bundle
cannot name one: the caller must pass the function.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache, partial
from typing import cast

from fpplm_core.errors import ParamsError
from fpplm_core.tagging.words import CHARACTERS, UNICODE, WHITESPACE, Range, Segmenter, segment, segment_with

RULES = {"unicode": UNICODE, "whitespace": WHITESPACE, "characters": CHARACTERS}
RENAMED = {"rules": "unicode", "blanks": "whitespace"}  # values of an earlier release


def segmentation(name: str) -> Callable[[str], list[Range]]:
    """The function from a text to the (start, end) of its words, named by a key of RULES or MODULE:FUNCTION.

    Raises ParamsError if there is no such function; the returned function raises it as `segment_with` does.
    """
    if name in RULES:
        return partial(segment, rule=RULES[name])
    where = f"data.segmentation: {name}"
    return partial(segment_with, segmenter=load_segmenter(name, "data.segmentation"), where=where)


@lru_cache
def load_segmenter(name: str, where: str) -> Segmenter:
    """The function that MODULE:FUNCTION names. Raises ParamsError, naming `where` the name was given."""
    module, _, function = name.partition(":")
    try:
        return cast(Segmenter, getattr(importlib.import_module(module), function))
    except Exception as error:  # importing a module may raise anything
        reason = " ".join(str(error).split())
        do = f"use {', '.join(RULES)}, or MODULE:FUNCTION of an installed segmenter"
        raise ParamsError(f"no such segmenter ({reason})", where=where, got=repr(name), do=do) from None
