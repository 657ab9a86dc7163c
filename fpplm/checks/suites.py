"""The project's expectations of its data: expectations.yaml as suites of Great Expectations, one a table.

Every check of fpplm_core/quality is an expectation of its own, `expect_no_CHECK`: its column is empty. Its severity is
that of params.yaml; a project may tolerate a share of rows (`mostly`), and add any other expectation of Great
Expectations about the tables' columns and the names in their index, with a severity in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import great_expectations as gx
from great_expectations.exceptions import GreatExpectationsError
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from pydantic.v1 import ValidationError

from fpplm_core.errors import ParamsError
from fpplm_core.quality.checks import ADVICE, CHECKS
from fpplm_core.settings import read_yaml

SUITES = Path("expectations.yaml")
PREFIX = "expect_no_"
SEVERITIES = {"error": "critical", "warning": "warning"}  # Great Expectations' words for ours


def _define(check: str) -> None:
    """Makes the expectation of a check known to Great Expectations, which finds it by the name of its class."""
    name = "".join(part.title() for part in f"{PREFIX}{check}".split("_"))
    means, advice = ADVICE[check]
    fields = {"column": check, "description": f"no {check.replace('_', ' ')}: {means}; {advice}"}
    body = {"__module__": __name__, "__doc__": means, "__annotations__": dict.fromkeys(fields, str), **fields}
    type(name, (gx.expectations.ExpectColumnValuesToBeNull,), body)


for _checks in CHECKS.values():
    for _check in _checks:
        _define(_check)


def load(severities: Mapping[str, str], path: Path = SUITES) -> dict[str, list[Expectation]]:
    """The expectations of each table. What params.yaml (`severities`, by check) switches off is left out.

    Without a file, every check is expected. Raises ParamsError naming the entry that cannot be used.
    """
    every = {table: [{"type": f"{PREFIX}{check}"} for check in checks] for table, checks in CHECKS.items()}
    suites = read_yaml(path) if path.exists() else every
    if not isinstance(suites, Mapping) or not suites.keys() <= CHECKS.keys():
        raise ParamsError("tables are wanted", where=str(path), got=repr(suites)[:60], do=f"use {', '.join(every)}")
    found: dict[str, list[Expectation]] = {}
    for table, given in suites.items():
        entries = [] if given is None else given
        if not isinstance(entries, list):
            raise ParamsError(
                "a list is wanted", where=f"{path}: {table}", got=repr(entries)[:60], do="give one, or []"
            )
        own = {check: severities[check] for check in CHECKS[table]}
        made = [_expectation(entry, own, f"{path}: {table}, entry {i}") for i, entry in enumerate(entries, start=1)]
        found[table] = [expectation for expectation in made if expectation]
    return found


def _expectation(entry: Any, severities: Mapping[str, str], where: str) -> Expectation | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        raise ParamsError("an expectation has a type", where=where, got=repr(entry)[:60], do="write {type: expect_…}")
    kwargs = dict(entry)
    name = kwargs.pop("type")
    if not isinstance(kwargs.get("mostly", 1), int | float):
        raise ParamsError("mostly is a share of rows", where=where, got=repr(kwargs["mostly"])[:60], do="use 0 to 1")
    if name.startswith(PREFIX):
        check = name.removeprefix(PREFIX)
        if check not in severities:
            do = f"use {PREFIX} with one of {', '.join(severities)}"
            raise ParamsError("no check of this table", where=where, got=repr(name)[:60], do=do)
        if more := kwargs.keys() - {"mostly"}:
            do = f"take it out; params.yaml has the severity (check.{check})"
            raise ParamsError("a check takes mostly alone", where=where, got=", ".join(map(repr, more)), do=do)
        severity = severities[check]
    else:
        severity = kwargs.pop("severity", "error")
    if severity == "off":
        return None
    if severity not in list(SEVERITIES):
        raise ParamsError("unknown severity", where=where, got=repr(severity)[:60], do="use error or warning")
    try:
        return ExpectationConfiguration(type=name, kwargs=kwargs, severity=SEVERITIES[severity]).to_domain_obj()
    except (GreatExpectationsError, ValidationError, TypeError, ValueError) as error:
        said = "; ".join(str(error).splitlines()[:4])
        raise ParamsError(f"no such expectation ({said})", where=where, got=repr(dict(entry))[:100]) from None


def name_of(expectation: Expectation, table: str) -> str:
    """The check, or the type of another expectation with its table and column."""
    name = expectation.expectation_type
    if name.startswith(PREFIX):
        return name.removeprefix(PREFIX)
    column = getattr(expectation, "column", None)
    return f"{name}({table}.{column})" if column else f"{name}({table})"


def names_of(suite: Iterable[Expectation], table: str) -> dict[str, str]:
    """The name of each expectation by its id; those of one name are numbered, from the second on."""
    names: dict[str, str] = {}
    times: Counter[str] = Counter()
    for expectation in suite:
        name = name_of(expectation, table)
        times[name] += 1
        names[str(expectation.id)] = f"{name} {times[name]}" if times[name] > 1 else name
    return names
