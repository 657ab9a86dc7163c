"""The project's expectations of its data: expectations.yaml as suites of Great Expectations, one a table.

Every check of fpplm_core/quality is an expectation of its own, `expect_no_CHECK`: its column is empty. Its severity is
that of params.yaml; a project may tolerate a share of rows (`mostly`), and add any other expectation of Great
Expectations about the tables' columns, with a severity in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import great_expectations as gx
from great_expectations.exceptions import GreatExpectationsError
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from pydantic.v1 import ValidationError

from fpplm_core import quality
from fpplm_core.errors import ParamsError
from fpplm_core.params import read_yaml

SUITES = Path("expectations.yaml")
PREFIX = "expect_no_"
SEVERITIES = {"error": "critical", "warning": "warning"}  # Great Expectations' words for ours


def _define(check: str) -> None:
    """Makes the expectation of a check known to Great Expectations, which finds it by the name of its class."""
    name = "".join(part.title() for part in f"{PREFIX}{check}".split("_"))
    means, advice = quality.ADVICE[check]
    fields = {"column": check, "description": f"no {check.replace('_', ' ')}: {means}; {advice}"}
    body = {"__module__": __name__, "__doc__": means, "__annotations__": dict.fromkeys(fields, str), **fields}
    type(name, (gx.expectations.ExpectColumnValuesToBeNull,), body)


for _checks in quality.CHECKS.values():
    for _check in _checks:
        _define(_check)


def load(severities: Mapping[str, str], path: Path = SUITES) -> dict[str, list[Expectation]]:
    """The expectations of each table. What params.yaml (`severities`, by check) switches off is left out.

    Without a file, every check is expected. Raises ParamsError naming the entry that cannot be used.
    """
    every = {table: [{"type": f"{PREFIX}{check}"} for check in checks] for table, checks in quality.CHECKS.items()}
    suites = read_yaml(path) if path.exists() else every
    if not isinstance(suites, Mapping) or not suites.keys() <= quality.CHECKS.keys():
        raise ParamsError("tables are wanted", where=str(path), got=repr(suites)[:60], do=f"use {', '.join(every)}")
    return {
        table: [
            expectation
            for number, entry in enumerate(entries or [], start=1)
            if (expectation := _expectation(entry, severities, f"{path}: {table}, entry {number}"))
        ]
        for table, entries in suites.items()
    }


def _expectation(entry: Any, severities: Mapping[str, str], where: str) -> Expectation | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        raise ParamsError("an expectation has a type", where=where, got=repr(entry)[:60], do="write {type: expect_…}")
    kwargs = dict(entry)
    name = kwargs.pop("type")
    check = name.removeprefix(PREFIX)
    own = check if name.startswith(PREFIX) and check in severities else None
    severity = severities[own] if own else kwargs.pop("severity", "error")
    if severity == "off":
        return None
    if severity not in SEVERITIES:
        raise ParamsError("unknown severity", where=where, got=repr(severity), do="use error or warning")
    try:
        return ExpectationConfiguration(type=name, kwargs=kwargs, severity=SEVERITIES[severity]).to_domain_obj()
    except (GreatExpectationsError, ValidationError, TypeError, ValueError) as error:
        said = "; ".join(str(error).splitlines()[:4])
        raise ParamsError(f"no such expectation ({said})", where=where, got=repr(dict(entry))[:100]) from None


def name_of(expectation: Expectation) -> str:
    """The check, or the type and column of another expectation."""
    name = expectation.expectation_type
    check = name.removeprefix(PREFIX)
    if any(check in checks for checks in quality.CHECKS.values()):
        return check
    column = getattr(expectation, "column", None)
    return f"{name}({column})" if column else name
