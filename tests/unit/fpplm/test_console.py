"""What stages print: names of types are data, not markup."""

from __future__ import annotations

import pytest

from fpplm.checks.console import show
from fpplm.report.console import gate_section
from fpplm.terminal import tables
from fpplm_core.evaluation.gate import GateResult, at_least
from fpplm_core.quality.report import CheckReport, CheckResult

NAMES = ["a[/b]", "[red]x", "[link=file:///etc/passwd]y[/link]", ":smile:", "[[x]]", "x" * 100, "\\[b]"]


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_the_gate_shows_the_name_of_a_type_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    tables.show(gate_section(GateResult(False, [at_least(f"test F1 of {name}", 0.1, 0.5)])))
    assert f"test F1 of {name}  " in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_a_finding_shows_the_name_of_a_type_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = CheckResult("warning", "splits", 1, 1, True, [f"a.conll:1: {name}: 1 in train"])
    show(CheckReport(0, 1, {"few_examples": result}, {}))
    assert f"a.conll:1: {name}: 1 in train\n" in capsys.readouterr().out
