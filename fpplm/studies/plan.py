"""The plan of an ablation: arms, corpora and seeds, what is searched, and what is compared."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from fpplm.pipeline.paths import PARAMS
from fpplm_core.errors import ParamsError
from fpplm_core.params import Params
from fpplm_core.settings import Settings, guess, read_yaml

Changes = dict[str, Any]  # dotted names of params.yaml and their values
Choices = dict[str, dict[str, dict[str, Any]]]  # arm → corpus → `values`, and the trial and dev F1 that chose them


class Range(Settings):
    """A parameter that is drawn log-uniformly."""

    low: Annotated[float, Field(gt=0)]
    high: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class Search(Settings):
    """Random trials with the same draws for every arm; `present` adds the arm without drawn values, as trial 0."""

    trials: Annotated[int, Field(ge=1)]
    space: Annotated[dict[str, Range | Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]
    present: bool = False


class ChoicesFile(Settings):
    arms: Choices


class Plan(Settings):
    """A plan file.

    Corpora and arms are changes to params.yaml (dotted names), plus these keys. A corpus: `train_sentences` and
    `dev_sentences` (numbers of sentences to use, evenly spread), `noise` (share of train's mentions that get a wrong
    label), `arms` (changes of single arms). An arm: `trainer` (runs transformers' Trainer), `search: false` (runs
    without drawn values), `like` (starts from the values chosen for this arm of the plan `choices`). `{corpus}` in a
    value is the name of the corpus. `common` are changes for all runs. `compare` maps an arm to the arms that it is
    compared with; of a list of arms, the one with the highest F1 counts.
    """

    seeds: Annotated[list[int], Field(min_length=1)]
    corpora: dict[str, Changes]
    arms: dict[str, Changes]
    common: Changes = Field({})
    search: Search | None = None
    choices: str | None = None
    compare: dict[str, list[str | list[str]]] = Field({})


def read_plan(file: Path) -> Plan:
    """The plan in a file. Raises ParamsError if the file cannot be read or is not a plan."""
    return Plan.parse(read_yaml(file), str(file))


def choices_file(name: str, results: Path) -> Path:
    """The file with the choices of a plan, given the plan's name without `.yaml`."""
    return results / f"{name}.choices.yaml"


def choosing(plan: Path) -> str | None:
    """The name of the plan whose trials choose the values of this one: another plan, this one, or None."""
    wanted = read_plan(plan)
    return wanted.choices or (plan.stem if wanted.search else None)


def used_files(plan: Path, results: Path) -> list[Path]:
    """The files that determine the final runs of a plan."""
    name = choosing(plan)
    return [plan, PARAMS, *([choices_file(name, results)] if name else [])]


def read_choices(plan: Path, results: Path) -> Choices:
    """The choices that a plan starts from, empty if it needs none. Raises ParamsError if they do not exist yet."""
    name = choosing(plan)
    if name is None:
        return {}
    file = choices_file(name, results)
    if not file.exists():
        raise ParamsError("no choices yet", where=str(file), do=f"run: fpplm ablate {plan.with_stem(name)}")
    return choices_in(file)


def choices_in(file: Path) -> Choices:
    """The choices in a file, none if it is missing or empty. Raises ParamsError if it holds something else."""
    found = read_yaml(file) if file.exists() else None
    return ChoicesFile.parse({"arms": found or {}}, str(file)).arms


def changed(base: dict[str, Any], changes: Changes, where: str) -> dict[str, Any]:
    """The content of params.yaml with these changes. Raises ParamsError for an unknown name or a wrong value."""
    settings = copy.deepcopy(base)
    for name, value in changes.items():
        *path, last = name.split(".")
        place: Any = settings
        for part in path:
            place = place.get(part, {}) if isinstance(place, dict) else {}
        if not isinstance(place, dict) or last not in place:
            do = guess(last, place if isinstance(place, dict) else ()).strip()
            raise ParamsError("unknown parameter", where=where, got=repr(name), do=do)
        place[last] = value
    Params.parse(settings, where)
    return settings
