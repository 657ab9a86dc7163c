"""Shows how far long loops are: bars with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fpplm.terminal.output import is_closed
from fpplm_core.tracking import Words, tracked_by

T = TypeVar("T")
PATIENCE = 2.0  # seconds after which a loop gets a bar
LINES = 30.0  # seconds between two lines where there is no terminal


@contextmanager
def show_progress(title: str) -> Iterator[None]:
    """Shows on stderr the loops of this context that take their time; of nested ones, the outermost."""
    console = Console(stderr=True)
    columns = TextColumn(title), BarColumn(), TextColumn("{task.description}")
    # Above the bar; otherwise into a file, which the bar must leave alone.
    printed = not is_closed(sys.stdout) and sys.stdout.isatty()
    bar = Progress(*columns, console=console, transient=True, redirect_stdout=printed)
    running = False

    def show(
        items: Iterable[T], what: str, total: int | None, size: Callable[[T], int], words: Words[T], /
    ) -> Iterator[T]:
        nonlocal running
        if running:
            yield from items
            return
        running, due, task = True, PATIENCE if console.is_terminal else LINES, None
        try:
            for item, done, read, seconds in timed(items, size, words):
                shown = (what, done, total, seconds, read)
                if console.is_terminal and seconds > due:
                    if task is None:
                        bar.start()
                        task = bar.add_task("", total=total)
                    bar.update(task, completed=done, description=figures(*shown))
                elif seconds > due:
                    due = seconds + LINES
                    print(f"{title}: {figures(*shown)}", file=sys.stderr, flush=True)
                yield item
        finally:
            running = False
            if task is not None:
                bar.remove_task(task)
                bar.stop()

    try:
        with tracked_by(show):
            yield
    finally:
        if bar.live.is_started:  # an exception keeps the loop in which it was raised
            bar.stop()


def timed(items: Iterable[T], size: Callable[[T], int], words: Words[T]) -> Iterator[tuple[T, int, int | None, float]]:
    """Each item, the size and the words of those before it, and the seconds since the first was asked for."""
    begin, done, read = time.perf_counter(), 0, 0
    for item in items:
        yield item, done, read if words else None, time.perf_counter() - begin
        done += size(item)
        read += words(item) if words else 0


def figures(what: str, done: int, total: int | None, seconds: float, words: int | None) -> str:
    """Such as "1,200 of 3,000 sentences of train, 410/s, 4 s left"; with `words`, the rate is that of words."""
    rate = f"{done / seconds:,.0f}/s" if words is None else f"{words / seconds:,.0f} words/s"
    if not done or not total:
        return f"{done:,} {what}, {rate}"
    left = seconds / done * max(0, total - done)
    return f"{done:,} of {total:,} {what}, {rate}, {duration(left)} left"


def duration(seconds: float) -> str:
    """Such as "40 s", "12 min" or "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
