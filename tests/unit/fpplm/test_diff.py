"""`fpplm diff` shows what changed, cuts long lists and says by how much; Markdown shows words as they are."""

from __future__ import annotations

import pytest

from fpplm.cli.diff import changes_of, cut
from fpplm.terminal.tables import Section, as_markdown, as_text
from fpplm_core.data.diff import DataDiff, MentionChange, SentenceChange, SplitDiff, TypeDiff
from fpplm_core.tagging.spans import Span

NOTHING = SplitDiff(2, 2, 0, 0, 0, 0, 0, {"PER": TypeDiff(1, 1, 0, 0, 0, 0, 0, 0, 0)})
CHANGED = SplitDiff(3, 3, 1, 1, 0, 0, 1, {"LOC": TypeDiff(1, 2, 0, 0, 0, 1, 0, 0, 0)})
WORDS = ("<b>|Ulm", "\x1b[31m", "*")
DIFF = DataDiff(
    "v1",
    "bundle",
    {"train": CHANGED, "dev": NOTHING, "test": NOTHING},
    [MentionChange("re-typed", "train", "a.conll:7", WORDS, Span(0, 1, "ORG"), Span(0, 1, "LOC"))],
    [SentenceChange("added", None, "train", "a.conll:9", WORDS)],
)


@pytest.mark.parametrize(
    ("rows", "limit", "shown", "said"), [(3, 3, 3, ""), (0, 5, 0, ""), (25, 20, 20, "5"), (25, 0, 25, "")]
)
def test_a_cut_list_says_how_many_rows_are_missing(rows: int, limit: int, shown: int, said: str) -> None:
    found, note = cut([("row",)] * rows, limit)
    assert len(found) == shown
    assert note == (f"… and {said} more; fpplm diff --limit 0 shows all" if said else "")


def test_the_data_are_shown_with_file_and_line_and_what_is_missing() -> None:
    lines = as_text(changes_of(DIFF)).splitlines()
    assert lines[0] == "data, from v1 to bundle"
    assert [line.split() for line in lines if line.startswith(("train  ", "train LOC"))] == [
        ["train", "3", "3", "1", "1", "0", "0", "1"],
        ["train", "LOC", "1", "2", "0", "0", "0", "1", "0", "0", "0"],
    ]
    assert not any("PER" in line for line in lines), "a type without a change has no row"
    (mention,) = [line for line in lines if line.startswith("a.conll:7")]
    assert "re-typed" in mention and "<b>|Ulm [ORG]" in mention and "<b>|Ulm [LOC]" in mention
    assert "\x1b" not in "".join(lines) and "\\x1b[31m" in mention
    assert lines[-1] == "… and 1 more; fpplm diff --limit 0 shows all", "of two changed sentences one is shown"


def test_markdown_has_as_many_cells_in_each_row_and_no_markup_of_the_data() -> None:
    page = as_markdown(changes_of(DIFF))
    for block in page.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        cells = {line.replace("\\|", "").count("|") for line in rows}
        assert len(cells) <= 1, block
    assert "<b>" not in page and "&lt;b&gt;\\|Ulm" in page and "\x1b" not in page


def test_no_change_is_one_line() -> None:
    same = DataDiff("v1", "v2", {"train": NOTHING, "dev": NOTHING, "test": NOTHING}, [], [])
    assert as_text(changes_of(same)) == "same sentences and mentions in v1 and v2"


def test_a_stacked_row_has_the_last_cell_first() -> None:
    section = Section("title", ("gold", "sentence"), [("Ulm [LOC]", "In Ulm")], "note", stacked=True)
    assert as_text([section]).splitlines() == ["title", "", "In Ulm", "  gold Ulm [LOC]", "note"]
    assert "| gold | sentence |" in as_markdown([section])
