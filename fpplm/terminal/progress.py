"""Shows how far long loops are: bars with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fpplm_core.tracking import tracked_by

T = TypeVar("T")
PATIENCE = 2.0  # seconds after which a loop gets a bar
LINES = 30.0  # seconds between two lines where there is no terminal


@contextmanager
def show_progress(title: str) -> Iterator[None]:
    """Shows on stderr the loops of this context that take their time; of nested ones, the outermost."""
    console = Console(stderr=True)
    bar = Progress(TextColumn(title), BarColumn(), TextColumn("{task.description}"), console=console, transient=True)
    running = False

    def show(items: Iterable[T], what: str, total: int | None, size: Callable[[T], int], /) -> Iterator[T]:
        nonlocal running
        if running:
            yield from items
            return
        running, due, task = True, PATIENCE if console.is_terminal else LINES, None
        try:
            for item, done, seconds in timed(items, size):
                if console.is_terminal and seconds > due:
                    if task is None:
                        bar.start()
                        task = bar.add_task("", total=total)
                    bar.update(task, completed=done, description=figures(what, done, total, seconds))
                elif seconds > due:
                    due = seconds + LINES
                    print(f"{title}: {figures(what, done, total, seconds)}", file=sys.stderr, flush=True)
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


def timed(items: Iterable[T], size: Callable[[T], int]) -> Iterator[tuple[T, int, float]]:
    """Each item, the size of those before it, and the seconds since the first was asked for."""
    begin, done = time.perf_counter(), 0
    for item in items:
        yield item, done, time.perf_counter() - begin
        done += size(item)


def figures(what: str, done: int, total: int | None, seconds: float) -> str:
    """Such as "1,200 of 3,000 sentences of train, 410/s, 4 s left"."""
    if not done or not total:
        return f"{done:,} {what}, {done / seconds:,.0f}/s"
    left = seconds / done * max(0, total - done)
    return f"{done:,} of {total:,} {what}, {done / seconds:,.0f}/s, {duration(left)} left"


def duration(seconds: float) -> str:
    """Such as "40 s", "12 min" or "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
