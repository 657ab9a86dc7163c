"""Text of unknown origin in a terminal, in Markdown, in errors and in Prefect's artifacts."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm.checks.console import findings, show
from fpplm.pipeline.changes import Change
from fpplm.report.console import gate_section
from fpplm.report.run import ChangesSince, RunSummary, as_markdown
from fpplm.terminal import tables
from fpplm.terminal.tables import markdown_table, table
from fpplm_core.data.notes import Notes
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.escaping import markdown, printable
from fpplm_core.evaluation.gate import GateResult, GateRule
from fpplm_core.export.card import card
from fpplm_core.quality.report import CheckReport, CheckResult

TERMINAL = "\x1b]0;title\x07\x1b[2J\x9b31m\r\u202egnp.exe\u2066\x00"
MARKUP = "a[/b] [red]x[/red] [link=http://evil.test]y[/link]"
any_text = st.text(st.characters(), max_size=40)  # halves of surrogate pairs, too


@given(any_text)
def test_printable_text_is_one_line_that_a_terminal_shows(text: str) -> None:
    shown = printable(text)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(character) for character in shown} & {
        "RLO",
        "LRO",
        "RLE",
        "LRE",
        "RLI",
        "LRI",
    }
    assert len(shown.splitlines()) <= 1 and printable(shown) == shown
    shown.encode()


@pytest.mark.parametrize(
    "text", ["Zürich", "नमस्ते", "می\u200cخواهم", "👩\u200d👩\u200d👧", "C:\\x1b", "日本", "e\u0301"]
)
def test_words_are_shown_as_they_are(text: str) -> None:
    assert printable(text) == text


@given(any_text)
def test_markdown_has_no_markup_and_a_table_keeps_its_cells(text: str) -> None:
    shown = markdown(text)
    free = shown.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert "<" not in free and "&" not in free and "\n" not in shown
    bare = free.replace("\\\\", "")
    for mark in "`*_~|[]#:.@":
        assert bare.count(mark) == bare.count(f"\\{mark}")
    head, rule, row = markdown_table(("a", "b"), [(text, 1)]).split("\n")
    assert row.replace("\\\\", "").replace("\\|", "").count("|") == head.count("|") == rule.count("|") == 3


def test_an_error_stays_one_line_whatever_it_names() -> None:
    for where, got in (("a\nb\x1b[2J.conll", "x"), ("a", "\x1b]0;x\x07\n")):
        message = str(DataError("no such file", where=where, got=got))
        assert message.isprintable()
    assert str(ParamsError("one\ntwo")) == "one\ntwo", "errors of params.yaml have a line each"


def test_what_commands_print_has_no_codes_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    result = CheckResult("error", "tokens", 9, 2, True, [f"{TERMINAL}{MARKUP}.conll:3: word"])
    checks = {f"expect({TERMINAL}{MARKUP})": result}
    show(CheckReport(1, 0, checks, {}))
    rule = GateRule(f"test F1 of {MARKUP}{TERMINAL}", 0.5, "at least", 0.4, True)
    tables.show(gate_section(GateResult(True, [rule])))
    notes = Notes()
    notes.add(f"left out {TERMINAL}", f"{TERMINAL}:3")
    said = [screen := capsys.readouterr().out, *findings(checks, 5), *notes.lines()]
    said.append(table(("a",), [(TERMINAL,)]))
    for text in said:
        assert not set("\x1b\x07\x9b\r\x00\u202e\u2066") & set(text), text
    assert f"test F1 of {MARKUP}" in screen, "shown as it is"


LINK = "[x](javascript:alert(1)) <img src=//evil.test/a> ![p](//evil.test/b) http://evil.test www.evil.test | a\n# b"


def test_artifacts_and_card_show_text_of_the_data_as_text() -> None:
    summary = RunSummary(
        run="r", started="s", compared=[ChangesSince(LINK, [Change("data", LINK, LINK, LINK)])], drift=[LINK],
        ran={"check": True}, seconds={"check": 1.5}, verdict="hold", reasons=[LINK],
    )  # fmt: skip
    scores = {"types": {LINK: {"precision": 1, "recall": 1, "f1": 1, "support": 3}}, "precision": 1.0, "recall": 1.0}
    made_of = {"data": {"path": LINK}, "model": {"encoder": LINK}}
    test = scores | {"f1": 1.0, "f1_low": 0.5, "f1_high": 1.0}
    for text in (as_markdown(summary, ""), card({"scores": {"test": test}, "parameters": made_of, "fpplm": "1"}, True)):
        for bad in ("<img", "http://evil", "www.evil", "\n# b", "![p]", "[x]("):
            assert bad not in text, bad
        assert text.count("\\[x\\](javascript\\:") >= 3
    assert json.loads(json.dumps(asdict(summary)))["reasons"] == [LINK], "the record keeps the text"


@pytest.mark.parametrize("folder", ["fpplm/checks", "fpplm/report"])
def test_templates_switch_escaping_off_nowhere(folder: str) -> None:
    root = Path(__file__).resolve().parents[3]
    for template in (root / folder).glob("*.html"):
        source = template.read_text(encoding="utf-8")
        assert "| safe" not in source and "autoescape" not in source and "<script" not in source
        assert "default-src 'none'" in source
