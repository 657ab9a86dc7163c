"""A split of a dataset that Hugging Face datasets has saved: the folder TRAIN of `save_to_disk("data/mine")`.

`word_column` and `tag_column` count its columns; each row is a sentence, a list of words and a list of tags, which
are strings or class labels. Rows stand in for lines: row 0 is line 1. Documents are not marked. Read only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fpplm_core.errors import DataError
from fpplm_core.formats import Options
from fpplm_core.text import Sentence


def read(path: Path, columns: Options) -> Iterator[Sentence]:
    import datasets  # takes seconds

    try:
        rows = datasets.load_from_disk(str(path))
    except (FileNotFoundError, OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(
            f"no saved dataset ({reason[:120]})",
            where=str(path),
            do="save it: datasets.load_dataset(NAME).save_to_disk(data.path), and name its splits in data.train …",
        ) from None
    if isinstance(rows, datasets.DatasetDict):
        raise DataError(
            "a whole dataset stands where a split is wanted",
            where=str(path),
            got=", ".join(rows),
            do="name one in data.train, data.dev and data.test",
        )
    word, tag = (_column(path, index, rows.column_names) for index in (columns.word_column, columns.tag_column))
    name = _namer(rows.features[tag])
    for number, row in enumerate(rows.select_columns(list({word, tag})), start=1):
        words, tags = row[word], row[tag]
        if not (isinstance(words, list) and isinstance(tags, list) and len(words) == len(tags)):
            raise DataError(
                "words and tags do not match",
                where=f"{path}:{number}",
                got=f"{word} {str(words)[:60]}, {tag} {str(tags)[:60]}",
                do=f"choose data.word_column and data.tag_column among {', '.join(rows.column_names)}",
            )
        if words:
            places = (number,) * len(words)
            yield Sentence(tuple(map(str, words)), tuple(name(value) for value in tags), str(path), places)


def _column(path: Path, index: int, names: list[str]) -> str:
    if not -len(names) <= index < len(names):
        raise DataError(
            "no such column",
            where=str(path),
            got=f"column {index} of {', '.join(names)}",
            do="set data.word_column and data.tag_column in params.yaml",
        )
    return names[index]


def _namer(feature: Any) -> Callable[[Any], str]:
    """What turns a stored tag into its name: class labels are stored as numbers."""
    inner = getattr(feature, "feature", feature)
    to_name = getattr(inner, "int2str", str)
    return lambda value: str(to_name(value))
