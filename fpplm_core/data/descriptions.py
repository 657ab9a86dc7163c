"""Descriptions of entity types in words: data.describe."""

from __future__ import annotations

from collections.abc import Sequence

from fpplm_core.data.segmenter import segmentation
from fpplm_core.data.settings import DataSettings
from fpplm_core.errors import ParamsError, shown


def describe_types(settings: DataSettings, types: Sequence[str]) -> dict[str, list[str]]:
    """The words of each described type, by its name; `types` are those of train.

    Raises ParamsError for another type, and for a description without a word.
    """
    split = segmentation(settings.segmentation)
    words = {kind: [text[start:end] for start, end in split(text)] for kind, text in sorted(settings.describe.items())}
    for kind, found in words.items():
        if kind not in types:
            do = f"describe {', '.join(types)}" if types else "annotate some entities first"
            raise ParamsError("train has no such type", where="data.describe", got=shown(kind), do=do)
        if not found:
            got, do = shown(settings.describe[kind]), "describe the type in words, or remove it from there"
            raise ParamsError("a description without a word", where=f"data.describe.{kind}", got=got, do=do)
    return words
