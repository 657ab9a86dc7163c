"""Long lists of `fpplm diff` are cut, and say by how much."""

from __future__ import annotations

import pytest

from fpplm.cli.diff import more


@pytest.mark.parametrize(("rows", "shown", "said"), [(3, 3, []), (0, 0, []), (25, 20, ["… and 5 more"])])
def test_a_cut_list_says_how_many_rows_are_missing(rows: int, shown: int, said: list[str]) -> None:
    lines = more(list(range(rows)), list(range(shown)))
    assert [line.partition(";")[0] for line in lines] == said
    assert all("fpplm diff --limit 0" in line for line in lines)
