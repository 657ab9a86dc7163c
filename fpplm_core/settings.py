"""The base of all settings: validated, frozen values from YAML 1.2, and errors that name the parameter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from io import StringIO
from math import isnan
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.reader import ReaderError

from fpplm_core.errors import ParamsError, shown

Share = Annotated[float, Field(ge=0, le=1)]
Cut = Annotated[float, Field(gt=0, le=0.5)]
Key = tuple[int | str, ...]
CONFLICT = re.compile(r"^(<{7}|\|{7}|={7}|>{7})( .*)?$", re.MULTILINE)  # Git's marks in a file that it could not merge
KINDS = {"int": "a whole number", "float": "a number", "string": "text", "bool": "true or false", "list": "a list",
         "dict": "a mapping", "model": "a section"}  # pydantic's and those of YAML  # fmt: skip
LONGEST_NAME = 60  # characters of a name that is compared with the known ones
LONGEST_YAML = 1_000_000  # characters; params.yaml has 14,000
LONGEST_PROBLEM = 120  # characters of a parser's message, which may quote the file
DEEPEST = 50  # levels of a value; params.yaml has 4
MOST_VALUES = 100_000  # with each alias written out: ten aliases of ten aliases of … make billions from a few lines


class Settings(BaseModel):
    """A block of params.yaml, or of another settings file.

    A field that params.yaml must hold has no default here: that file is the only place for its value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, values: Any, where: str) -> Self:
        """Settings from plain values. Raises ParamsError as `validate` does."""
        return validate(cls, values, where)


def begin_before_full(settings: Any) -> Any:
    """A validator of settings whose share `full` of the training must not be before `begin`."""
    if settings.full < settings.begin:
        raise ValueError(f"full {settings.full} must not be before begin {settings.begin}")
    return settings


T = TypeVar("T", bound=Settings)


def validate(kind: type[T], values: Any, where: str, moved: Mapping[str, str | None] | None = None) -> T:
    """Settings from plain values.

    `moved` has the dotted keys of earlier releases: the new key, or None if no value is needed any more. Raises
    ParamsError with every error of `values`, one per line: key, value and what is allowed.
    """
    if not isinstance(values, Mapping):
        got = "an empty file" if values is None else type(values).__name__
        raise ParamsError("expected sections", where=where, got=got, do=f"write {', '.join(kind.model_fields)}")
    if errors := _errors(kind, values):
        raise ParamsError("\n".join(map(str, _lines(kind, values, errors, where, moved or {}))))
    return kind.model_validate(values)


def _errors(kind: type[BaseModel], values: Any) -> list[ErrorDetails]:
    """The errors of pydantic; those of booleans are of its strict mode, in which true is not 1.

    In that mode a list is no tuple or set, and its items are not looked at: no field may be one.
    """
    strict, lax = (_errors_in_mode(kind, values, strict) for strict in (True, False))
    booleans = [detail for detail in strict if isinstance(detail["input"], bool)]
    wrong = {detail["loc"][:depth] for detail in booleans for depth in range(len(detail["loc"]) + 1)}
    return [detail for detail in lax if detail["loc"] not in wrong] + booleans


def _errors_in_mode(kind: type[BaseModel], values: Any, strict: bool) -> list[ErrorDetails]:
    try:
        kind.model_validate(values, strict=strict)
    except ValidationError as error:
        return error.errors()
    return []


def _lines(
    kind: type[BaseModel], values: Any, errors: Sequence[ErrorDetails], where: str, moved: Mapping[str, str | None]
) -> list[ParamsError]:
    """One error per key, although pydantic reports one for each member of a union."""
    by_key: dict[Key, list[ErrorDetails]] = {}
    for detail in errors:
        by_key.setdefault(_key(values, detail), []).append(detail)
    new_keys = {moved.get(_dotted(key)) for key in by_key}
    lines = []
    for key, details in by_key.items():
        name, first = _dotted(key), details[0]
        place = f"{where}: {name}"
        if name in moved:
            new = moved[name]
            what, do = (f"renamed to {new}", "rename it") if new else ("removed: no value is needed", "remove it")
            lines.append(ParamsError(what, where=place, do=do))
        elif first["type"] == "extra_forbidden":
            known = _fields(kind, key[:-1])
            do = f"{guess(key[-1], known)}known here: {', '.join(known)}"
            lines.append(ParamsError("unknown key", where=place, do=do))
        elif first["type"] != "missing":
            said = " or ".join(dict.fromkeys(map(_plain, details)))
            lines.append(ParamsError(said.replace(" or must be ", " or "), where=place, got=shown(first["input"])))
        elif name not in new_keys:
            lines.append(ParamsError("missing key", where=place, do="add it; params.yaml must hold every parameter"))
    return lines


def _plain(detail: ErrorDetails) -> str:
    """The reason why a value is refused, in terms of YAML."""
    kind, _, fault = detail["type"].partition("_")
    if kind in KINDS and fault in ("type", "parsing", "parsing_size", "from_float"):
        return f"must be {KINDS[kind]}"
    text = detail["msg"].removeprefix("Value error, ").partition(" after validation")[0]
    text = re.sub("^(Input|String|List|Dictionary) should ", "must ", text)
    return text[0].lower() + text[1:]


def guess(name: object, known: Iterable[str]) -> str:
    """Such as "did you mean lr? "; nothing where no known name is like this one."""
    near = get_close_matches(str(name)[:LONGEST_NAME], list(known), n=1)
    return f"did you mean {near[0]}? " if near else ""


def _key(values: Any, detail: ErrorDetails) -> Key:
    """The location of an error without what pydantic appends to it for the members of a union."""
    location = detail["loc"]
    for number, part in enumerate(location):
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return location if detail["type"] == "missing" else location[:number]
    return location


def _dotted(key: Key) -> str:
    return ".".join(str(part) for part in key)


def _fields(kind: type[BaseModel], key: Key) -> list[str]:
    for part in key:
        if part in kind.model_fields:  # otherwise a name in a mapping, or a place in a list
            kind = next(_models_in(kind.model_fields[str(part)].annotation), kind)
    return list(kind.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def read_yaml(path: Path | str) -> Any:
    """The plain values of a YAML 1.2 file, as DVC reads and writes it: `off` is a word, not false.

    Raises ParamsError naming the file and, if it can, the line: also for duplicate keys, and for what no settings file
    has (LONGEST_YAML, DEEPEST, MOST_VALUES, numbers of more than 64 bits, NaN, a value inside itself).
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError("no such file", where=str(path), do="run this in the project's folder") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        got = f"byte 0x{error.object[error.start]:02x}"
        raise ParamsError("not UTF-8", where=f"{path}:{line}", got=got, do="save it as UTF-8") from None
    except OSError as error:
        do = "make it a file that this user may read"
        raise ParamsError(f"cannot be read ({error})", where=str(path), do=do) from None
    if len(text) > LONGEST_YAML:
        raise ParamsError("too large", where=str(path), got=f"{len(text)} characters", do=f"use at most {LONGEST_YAML}")
    try:
        line = _too_deep(text)
        if line:
            raise ParamsError("nested too deeply", where=f"{path}:{line}", do=f"use at most {DEEPEST} levels")
        found = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:  # ValueError: a date or number that does not exist
        raise _not_yaml(path, text, error) from None
    _check_plain(found, str(path))
    return found


def yaml_text(values: Any) -> str:
    """Plain values as YAML 1.2, from which `read_yaml` reads the same values; keys stay in their order."""
    yaml, text = YAML(typ="safe", pure=True), StringIO()
    yaml.default_flow_style, yaml.width = False, 10_000
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(values, text)
    return text.getvalue()


def _not_yaml(path: Path | str, text: str, error: Exception) -> ParamsError:
    """The error that names the line, or the first line of a merge conflict if there is one."""
    if conflict := CONFLICT.search(text):
        line = text.count("\n", 0, conflict.start()) + 1
        do = "resolve the conflict, then run again"
        return ParamsError("not valid YAML (a merge conflict)", where=f"{path}:{line}", got=conflict[0], do=do)
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        what, got = "not valid YAML (a control character)", f"#x{error.character:04x}"
        return ParamsError(what, where=f"{path}:{line}", got=got, do="remove it")
    mark = getattr(error, "problem_mark", None)
    problem = " ".join(str(getattr(error, "problem", None) or error).split())[:LONGEST_PROBLEM]
    where, do = (f"{path}:{mark.line + 1}", "correct that line") if mark else (str(path), "correct that value")
    return ParamsError(f"not valid YAML ({problem})", where=where, do=do)


def _too_deep(text: str) -> int:
    """The 1-based line on which a value is nested deeper than DEEPEST; 0 if none is."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            return int(event.start_mark.line) + 1
    return 0


def _check_plain(values: Any, where: str) -> None:
    """Raises ParamsError for a value that grows without bound, or that is no number that settings have."""
    stack: list[tuple[Any, tuple[Any, ...]]] = [(values, ())]
    number = 0
    while stack:
        value, key = stack.pop()
        number += 1
        if number > MOST_VALUES or len(key) > DEEPEST:
            do = "write the values out instead of *aliases"
            place = f"{where}: {_dotted(key[:2])}"
            raise ParamsError("aliases make the values too many, or contain themselves", where=place, do=do)
        place = f"{where}: {_dotted(key)}" if key else where
        if isinstance(value, int) and value.bit_length() > 64:
            raise ParamsError("a number too large", where=place, got=shown(value), do="use at most 64 bits")
        if isinstance(value, float) and isnan(value):
            raise ParamsError("not a number", where=place, got=".nan", do="give a number")
        if isinstance(value, Mapping):
            stack += [(item, (*key, name)) for name, item in value.items()]
        elif isinstance(value, list):
            stack += [(item, (*key, index)) for index, item in enumerate(value)]
