"""slices.yaml: named parts of dev and test, each scored by itself.

Regular expressions are those of RE2, whose search takes time linear in the text, whatever the expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StrictStr, ValidationInfo, field_validator

from fpplm_core.errors import ParamsError, shown
from fpplm_core.settings import Settings, read_yaml
from fpplm_core.tagging.scripts import SCRIPTS

SLICES = Path("slices.yaml")
MIXED = "mixed"  # letters of several scripts
LONGEST_NAME = 60  # characters
MOST_SLICES = 1000
LOOK_AROUND = re.compile(r"invalid (perl operator|named capture group): \(\?<?[=!]")  # as RE2 refuses it
MIN_SUPPORT = 30  # gold mentions, where the file sets none


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _compiled(pattern: str) -> str:
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        reason = str(error).splitlines()[0].removeprefix("Invalid regular expression: ")
        hint = ", which has no look-around" if LOOK_AROUND.match(reason) else ""
        raise ValueError(f"not a regular expression of RE2{hint} ({reason})") from None
    return pattern


def _script(name: str) -> str:
    if name not in (*SCRIPTS, MIXED):
        raise ValueError(f"use one of {', '.join((*SCRIPTS, MIXED))}")
    return name


T = TypeVar("T")
OneOrMore = Annotated[list[T], Field(min_length=1), BeforeValidator(_listed)]
Text = Annotated[StrictStr, Field(min_length=1)]
WordCount = Annotated[StrictInt, Field(ge=1)]
Script = Annotated[StrictStr, AfterValidator(_script)]
Cell = Annotated[StrictStr, BeforeValidator(_as_text)]
Column = StrictInt | Text


class Slice(Settings):
    """The conditions of a slice. A sentence that meets all of them is in it; what is not set is no condition.

    `source` are patterns of the file's path (`*` also matches `/`), `document` numbers of documents (those of the
    file, else counted from 0), `script` scripts of which the sentence has a letter. `regex` is searched in the words
    joined by blanks. `column` maps columns of the data, named as in data.tag_column, to values of which a word has one.
    `mentions` keeps only the mentions that train has, or those that it lacks.
    """

    min_words: WordCount | None = None
    max_words: WordCount | None = None
    source: OneOrMore[Text] | None = None
    document: OneOrMore[Annotated[StrictInt, Field(ge=0)]] | None = None
    script: OneOrMore[Script] | None = None
    regex: Annotated[Text, AfterValidator(_compiled)] | None = None
    column: Annotated[dict[Column, OneOrMore[Cell]], Field(min_length=1)] | None = None
    mentions: Literal["seen", "unseen"] | None = None

    @field_validator("max_words")
    @classmethod
    def _not_below(cls, most: int | None, info: ValidationInfo) -> int | None:
        least = info.data.get("min_words")
        if least and most and least > most:
            raise ValueError(f"less than min_words, {least}")
        return most


class Slices(Settings):
    """The slices by name; one decides in a split where it has at least `min_support` gold mentions."""

    min_support: Annotated[StrictInt, Field(ge=1)] = MIN_SUPPORT
    slices: dict[str, Slice] = Field(default_factory=dict)

    def require(self, names: Iterable[str]) -> None:
        """Raises ParamsError if a floor in params.yaml is that of no slice."""
        for name in names:
            if name not in self.slices:
                do = f"use one of {', '.join(self.slices)}" if self.slices else "define it there, or remove the floor"
                raise ParamsError(f"{SLICES} has no such slice", where=f"params.yaml: gate.slice_f1.{name}", do=do)


def read_slices() -> Slices:
    """The slices of slices.yaml in the current folder; none if there is no file, or nothing in it.

    Raises ParamsError with every error of its slices, one per line: slice, key, value and what is allowed.
    """
    values = read_yaml(SLICES) if SLICES.exists() else None
    if values is None:
        return Slices()
    if not isinstance(values, Mapping):
        raise _no_mapping(str(SLICES), values, "write the keys min_support and slices")
    whole = Slices.parse({**values, "slices": {}}, str(SLICES))
    given = {} if values.get("slices") is None else values["slices"]
    if not isinstance(given, Mapping):
        raise _no_mapping(f"{SLICES}: slices", given, "write NAME: {max_words: 10} and the like")
    if len(given) > MOST_SLICES:
        raise ParamsError("too many slices", where=str(SLICES), got=str(len(given)), do=f"use at most {MOST_SLICES}")
    found, errors = dict[str, Slice](), list[str]()
    for name, conditions in given.items():
        try:
            checked = _checked(name)
            found[checked] = _slice(conditions, f"{SLICES}: slices.{checked}")
        except ParamsError as error:
            errors.append(str(error))
    if errors:
        raise ParamsError("\n".join(errors))
    return whole.model_copy(update={"slices": found})


def _checked(name: Any) -> str:
    """The name of a slice. Raises ParamsError."""
    if not isinstance(name, str):
        raise ParamsError("the name of a slice is text", where=str(SLICES), got=shown(name), do="put it in quotes")
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip()):
        what = f"the name of a slice has 1 to {LONGEST_NAME} printable characters, and no blank at its ends"
        raise ParamsError(what, where=str(SLICES), got=shown(name), do="correct it")
    return name


def _slice(conditions: Any, where: str) -> Slice:
    """The conditions of a slice. Raises ParamsError."""
    if not isinstance(conditions, Mapping):
        raise _no_mapping(where, conditions, "write conditions, such as {max_words: 10}")
    found = Slice.parse(conditions, where)
    if found == Slice():
        do = f"use one of {', '.join(Slice.model_fields)}"
        raise ParamsError("a slice needs a condition", where=where, got=shown(conditions), do=do)
    return found


def _no_mapping(where: str, got: Any, do: str) -> ParamsError:
    return ParamsError("expected a mapping", where=where, got=shown(got), do=do)
