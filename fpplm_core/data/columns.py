"""Further columns of annotated files. The corpus does not hold them, so they are read again, as tags are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, islice
from pathlib import Path

from fpplm_core.data.formats import detect, get
from fpplm_core.data.notes import Notes
from fpplm_core.data.records import Sentence
from fpplm_core.data.settings import DataSettings
from fpplm_core.data.splits import read_file
from fpplm_core.errors import DataError

Values = Callable[[Sequence[Sentence]], list[frozenset[str]]]  # of the words of each sentence of the next part


def open_column(column: int | str, split: str, settings: DataSettings) -> Values:
    """A function that gives the values in a column for one part of dev or test after another, in their order.

    Raises DataError if the file has no such column, and later where a line lacks it or the data have changed.
    """
    path = Path(settings.path) / ({"dev": settings.dev, "test": settings.test}[split] or settings.train)
    name = detect(path)[0] if settings.format == "auto" else settings.format
    if "tags" not in get(name).HOLDS:
        do = "slices take columns from formats with a tag for each word"
        raise DataError(f"the format {name} has no columns", where=str(path), do=do)
    if name == "spacy_json" or (name == "jsonl" and isinstance(column, int)):
        do = "name the key of its list" if name == "jsonl" else "convert the file to another format"
        raise DataError(f"the format {name} has no such column", where=str(path), got=repr(column), do=do)
    sentences = read_file(path, settings.model_copy(update={"tag_column": column}), Notes())
    sentences = chain([*islice(sentences, 1)], sentences)  # raises now what the first lines show

    def values(part: Sequence[Sentence]) -> list[frozenset[str]]:
        found = []
        for sentence in part:  # a split that was cut from train has only some of its sentences
            twin = next((one for one in sentences if one.lines[:1] == sentence.lines[:1]), None)
            if twin is None or twin.words != sentence.words:
                raise DataError("not as the stage read saw it", where=sentence.place, do="run: dvc repro")
            found.append(frozenset(twin.tags))
        return found

    return values
