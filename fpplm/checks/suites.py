"""The checks and the project's own expectations as Great Expectations suites, one per table.

Every check in fpplm_core/quality is an expectation, `expect_no_CHECK`, that its column is empty. Its severity comes
from params.yaml. In expectations.yaml a project may tolerate a share of a check's rows (`mostly`), and add any other
expectation of Great Expectations about the tables' columns and the names in their index, with a severity of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from great_expectations.exceptions.exceptions import GreatExpectationsError
from great_expectations.expectations.core.expect_column_values_to_be_null import ExpectColumnValuesToBeNull
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metadata_types import FailureSeverity
from pydantic.v1 import ValidationError

from fpplm_core.errors import ParamsError
from fpplm_core.quality.checks import CHECKS, TABLES, Check, Severity, Table, check_names
from fpplm_core.settings import read_yaml

SUITES = Path("expectations.yaml")
PREFIX = "expect_no_"
SEVERITIES = {"error": "critical", "warning": "warning"}  # our severities in Great Expectations' terms


def _define(check: Check) -> None:
    """Defines the expectation of a check; Great Expectations finds it by its class name."""
    name = "".join(part.title() for part in f"{PREFIX}{check.name}".split("_"))
    description = f"no {check.name.replace('_', ' ')}: {check.meaning}; {check.advice}"
    fields = {"column": check.name, "description": description}
    body = {"__module__": __name__, "__doc__": check.meaning, "__annotations__": dict.fromkeys(fields, str), **fields}
    type(name, (ExpectColumnValuesToBeNull,), body)


for _check in CHECKS:
    _define(_check)


def load(severities: Mapping[str, Severity], path: Path = SUITES) -> dict[str, list[Expectation]]:
    """The expectations of each table: every check that `severities` (by name) does not switch off, then the project's.

    Raises ParamsError, naming the invalid entry of the file.
    """
    entries = _entries(path)
    suites: dict[str, list[Expectation]] = {}
    for table in TABLES:
        where = f"{path}: {table}"
        tolerances: dict[str, float] = {}
        own = []
        for number, entry in enumerate(entries[table], start=1):
            name = _type_of(entry, f"{where}, entry {number}")
            if name.startswith(PREFIX):
                check = name.removeprefix(PREFIX)
                tolerances[check] = _tolerance(entry, check, table, f"{where}, entry {number}")
            elif expectation := _own(entry, name, f"{where}, entry {number}"):
                own.append(expectation)
        checks = [
            _configured(f"{PREFIX}{name}", {"mostly": tolerances.get(name, 1.0)}, severities[name], where)
            for name in check_names(table)
            if severities[name] != "off"
        ]
        suites[table] = checks + own
    return suites


def _entries(path: Path) -> dict[str, list[Any]]:
    """The entries of the file by table. Raises ParamsError."""
    content = read_yaml(path) if path.exists() else None
    if content is None:
        content = {}
    if not isinstance(content, Mapping) or not content.keys() <= set(TABLES):
        do = f"use {', '.join(TABLES)}"
        raise ParamsError("expected a mapping of tables", where=str(path), got=repr(content)[:60], do=do)
    entries: dict[str, list[Any]] = {table: content.get(table) or [] for table in TABLES}
    for table, given in entries.items():
        if not isinstance(given, list):
            raise ParamsError(
                "expected a list", where=f"{path}: {table}", got=repr(given)[:60], do="write a list, or []"
            )
    return entries


def _type_of(entry: Any, where: str) -> str:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        raise ParamsError("an expectation needs a type", where=where, got=repr(entry)[:60], do="write {type: expect_…}")
    return str(entry["type"])


def _tolerance(entry: Mapping[str, Any], check: str, table: Table, where: str) -> float:
    """The share of rows in which a check must find nothing. Raises ParamsError."""
    if check not in check_names(table):
        do = f"use {PREFIX} with one of {', '.join(check_names(table))}"
        raise ParamsError("this table has no such check", where=where, got=repr(f"{PREFIX}{check}")[:60], do=do)
    if more := entry.keys() - {"type", "mostly"}:
        do = f"remove it; set the severity in params.yaml (check.severity: {{{check}: …}})"
        raise ParamsError("a check takes only mostly", where=where, got=", ".join(map(repr, more)), do=do)
    mostly = entry.get("mostly", 1)
    if not isinstance(mostly, int | float) or not 0 <= mostly <= 1:
        raise ParamsError("mostly is a share of rows", where=where, got=repr(mostly)[:60], do="use 0 to 1")
    return float(mostly)


def _own(entry: Mapping[str, Any], name: str, where: str) -> Expectation | None:
    """One of the project's own expectations; None if it is switched off. Raises ParamsError."""
    kwargs = {key: value for key, value in entry.items() if key not in ("type", "severity")}
    severity = entry.get("severity", "error")
    if severity == "off":
        return None
    if severity not in list(SEVERITIES):
        raise ParamsError("unknown severity", where=where, got=repr(severity)[:60], do="use error or warning")
    if not isinstance(kwargs.get("mostly", 1), int | float):
        raise ParamsError("mostly is a share of rows", where=where, got=repr(kwargs["mostly"])[:60], do="use 0 to 1")
    return _configured(name, kwargs, severity, where)


def _configured(name: str, kwargs: Mapping[str, Any], severity: str, where: str) -> Expectation:
    """Configures an expectation. Raises ParamsError if Great Expectations does not know it or rejects its arguments."""
    level = FailureSeverity(SEVERITIES[severity])
    try:
        return ExpectationConfiguration(type=name, kwargs=dict(kwargs), severity=level).to_domain_obj()
    except (GreatExpectationsError, ValidationError, TypeError, ValueError) as error:
        reason = "; ".join(str(error).splitlines()[:4])
        got = repr({"type": name, **kwargs})[:100]
        raise ParamsError(f"no such expectation ({reason})", where=where, got=got) from None


def name_of(expectation: Expectation, table: str) -> str:
    """The name of a check, or for another expectation its type, table and column."""
    name = expectation.expectation_type
    if name.startswith(PREFIX):
        return name.removeprefix(PREFIX)
    column = getattr(expectation, "column", None)
    return f"{name}({table}.{column})" if column else f"{name}({table})"


def names_of(suite: Iterable[Expectation], table: str) -> dict[str, str]:
    """The name of each expectation by its id; repeated names are numbered from the second on."""
    names: dict[str, str] = {}
    times: Counter[str] = Counter()
    for expectation in suite:
        name = name_of(expectation, table)
        times[name] += 1
        names[str(expectation.id)] = f"{name} {times[name]}" if times[name] > 1 else name
    return names
