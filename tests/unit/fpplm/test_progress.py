"""Long loops are shown, short ones are not, and no loop gets other items because it is shown."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm.terminal import progress
from fpplm.terminal.progress import duration, figures, show_progress
from fpplm_core.tracking import track, tracked_by


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves on by ten seconds at every look."""
    ticks = itertools.count(step=10)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: float(next(ticks)))


def one(_: object) -> int:
    return 1


@given(st.lists(st.integers(), max_size=20))
def test_a_shown_loop_has_the_same_items(items: list[int]) -> None:
    assert list(track(items, "numbers", len(items), one)) == items
    with show_progress("count"):
        assert list(track(iter(items), "numbers", None, one)) == items
        assert [list(track(items, "inner", None, one)) for _ in track(items, "numbers", 3, one)] == [items] * len(items)


def test_a_short_loop_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with show_progress("count"):
        list(track(range(1000), "numbers", 1000, one))
    assert capfd.readouterr() == ("", "")


def test_a_long_loop_without_a_terminal_prints_a_line_now_and_then(
    hours: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with show_progress("encode"):
        for item in track(range(12), "sentences of train", 1200, lambda _: 100):
            list(track(range(50), "inner", 50, one))
            assert item < 12
        list(track(range(5), "words", None, one))
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [
        "encode: 300 of 1,200 sentences of train, 8/s, 120 s left".replace("120 s", "2 min"),
        "encode: 700 of 1,200 sentences of train, 9/s, 57 s left",
        "encode: 1,100 of 1,200 sentences of train, 9/s, 11 s left",
        "encode: 3 words, 0/s",
    ]


def test_the_rate_may_count_the_words_of_the_items(hours: None, capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("predict"):
        list(track([7, 70, 700, 7000], "parts", 4, one, lambda words: words))
    assert capsys.readouterr().err.splitlines() == ["predict: 3 of 4 parts, 19 words/s, 13 s left"]


def read_all(terminal: int) -> bytes:
    """What was written to a pseudo terminal, however often the bar was drawn: one read gives 4 kB at most."""
    parts = list[bytes]()
    with os.fdopen(terminal, "rb", buffering=0) as output, suppress(OSError):  # the end of it, on Linux
        while part := output.read(4096):
            parts.append(part)
    return b"".join(parts)


def test_a_long_loop_on_a_terminal_has_a_bar_that_goes_away(
    hours: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leader, follower = os.openpty()
    with os.fdopen(follower, "w") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        with show_progress("encode"):
            for item in track(range(4), "sentences", 4, one):
                time.sleep(0.25 if item == 3 else 0)  # the bar is drawn ten times a second
                print(f"item {item}")
            with pytest.raises(KeyError):
                for _ in track(range(4), "words", 4, one):
                    for _ in track(range(4), "inner", 4, one):
                        time.sleep(0.25)
                        raise KeyError
            next(track(range(4), "abandoned", 4, one))
    assert capsys.readouterr().out == "item 0\nitem 1\nitem 2\nitem 3\n", "not drawn, as stdout is no terminal"
    shown = read_all(leader).decode()
    assert "encode" in shown and "3 of 4 sentences, 0/s" in shown
    assert "0 words" in shown and "inner" not in shown
    assert "\x1b[?25h" in shown.rpartition("\x1b[?25l")[2], "the cursor is back"


def test_a_tracker_holds_in_its_context_alone() -> None:
    def doubled(items, what, total, size, words) -> Iterator[int]:  # type: ignore[no-untyped-def]
        yield from (2 * item for item in items)

    with tracked_by(doubled):
        assert list(track([1, 2], "numbers", 2, one)) == [2, 4]
    assert list(track([1, 2], "numbers", 2, one)) == [1, 2]


def test_figures() -> None:
    assert figures("words", 0, 10, 5.0, None) == "0 words, 0/s"
    assert figures("parts", 2, 10, 5.0, words=3000) == "2 of 10 parts, 600 words/s, 20 s left"
    assert figures("parts", 0, 10, 5.0, words=0) == "0 parts, 0 words/s"
    assert figures("words", 20, 10, 5.0, None) == "20 of 10 words, 4/s, 0 s left"
    assert [duration(s) for s in (0, 89.6, 90, 5399, 5400)] == ["0 s", "90 s", "2 min", "90 min", "1.5 h"]
