"""Finds the columns of words and tags in a Hugging Face dataset, and the names of its tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fpplm_core.data.formats._json import loads
from fpplm_core.data.notes import Notes
from fpplm_core.errors import DataError, shown

WORDS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "labels", "ner")
Features = Mapping[str, Any]  # the features of `datasets`, by column


def choose_columns(
    features: Features, words: int | str | None, tags: int | str | None, where: str, words_only: bool
) -> tuple[str, str]:
    """The names of the columns of words and tags; with `words_only` the tags' column is the words'.

    Raises DataError if they are missing or ambiguous.
    """
    lists = [name for name, feature in features.items() if _inner(feature) is not None]
    texts = [name for name in lists if str(getattr(_inner(features[name]), "dtype", "")) in ("string", "large_string")]
    if words_only:
        free = [name for name in texts if name not in TAGS]
        word = _named(features, words, where) or _only(free, WORDS, free, "word", where)
        return (_needed(word, "word", texts, features, where),) * 2
    tag = _named(features, tags, where) or _only(lists, TAGS, (), "tag", where)
    free = [name for name in texts if name != tag]
    word = _named(features, words, where) or _only(free, WORDS, free, "word", where)
    others = [name for name in lists if name != word]
    tag = tag or _only(others, (), others, "tag", where)
    return _needed(word, "word", texts, features, where), _needed(tag, "tag", lists, features, where)


def _needed(name: str | None, kind: str, fit: list[str], features: Features, where: str) -> str:
    """The column. Raises DataError if there is none, or if it does not fit."""
    do = f"name a column of lists (data.{kind}_column)"
    if name is None:
        raise DataError(f"no column of {kind}s", where=where, got=", ".join(features)[:200], do=do)
    if name not in fit:
        what = "words that are not lists of strings" if kind == "word" else "tags that are not lists"
        raise DataError(what, where=where, got=f"{name[:60]!r}, {shown(features[name])}", do=do)
    return name


def _only(columns: list[str], known: Sequence[str], rest: Sequence[str], kind: str, where: str) -> str | None:
    """The column with a known name, else the only one of the rest. Raises DataError if several could be meant."""
    found = [name for name in columns if name in known] or list(rest)
    if len(found) > 1:
        got, do = ", ".join(found)[:200], f"name one (data.{kind}_column)"
        raise DataError(f"several columns could be the {kind}s", where=where, got=got, do=do)
    return found[0] if found else None


def _named(features: Features, column: int | str | None, where: str) -> str | None:
    """The column of this number or name. Raises DataError if there is none."""
    names = list(features)
    if column is None:
        return None
    if isinstance(column, int):
        if -len(names) <= column < len(names):
            return names[column]
    elif column in names:
        return column
    got, do = f"column {column} of {', '.join(names)[:200]}", "set data.word_column and data.tag_column in params.yaml"
    raise DataError("no such column", where=where, got=got, do=do)


def _inner(feature: Any) -> Any:
    """The feature of a list's items; None if it is not a list."""
    if isinstance(feature, list) and len(feature) == 1:
        return feature[0]
    return getattr(feature, "feature", None)


def tag_namer(feature: Any, column: str, where: str) -> Callable[[Any, str], str]:
    """A function from a stored tag and its place to the tag's name. Raises DataError if the tags have no names."""
    inner = _inner(feature)
    names = getattr(inner, "names", None)  # of class labels
    if names is None and "string" not in str(getattr(inner, "dtype", "")):
        do = "give them names (datasets.ClassLabel), or a column of strings"
        raise DataError("tags that have no names", where=where, got=f"{column[:60]!r}, {shown(inner)}", do=do)

    def name_of(tag: Any, place: str) -> str:
        if names is not None and type(tag) is int and 0 <= tag < len(names):
            return str(names[tag])
        if names is None and isinstance(tag, str):
            return tag
        raise DataError(
            "a tag that is missing or has no name", where=place, got=shown(tag), do=f"correct {column[:60]!r}"
        )

    return name_of


def stored_names(path: Path, column: str, notes: Notes) -> list[str] | None:
    """The names of a column's class labels in dataset_info.json beside a file, as `datasets` writes it; None without.

    Raises DataError if that file is not one of `datasets`.
    """
    beside = path.with_name("dataset_info.json")
    try:
        raw = beside.read_bytes()
    except OSError:
        return None
    found = loads(raw.decode("utf-8", "replace"), str(beside))
    for key in ("features", column, "feature", "names"):
        found = found[0] if isinstance(found, list) and len(found) == 1 else found
        found = found if isinstance(found, dict) else {}
        found = found if key == "feature" and "names" in found else found.get(key)
    if not (isinstance(found, list) and all(isinstance(name, str) for name in found)):
        do = "give its features, with the names of the class labels, or remove it"
        raise DataError(f"no names of {column[:60]!r}", where=str(beside), got=shown(found), do=do)
    notes.add(f"names of the tags from {beside.name}", str(beside))
    return found
