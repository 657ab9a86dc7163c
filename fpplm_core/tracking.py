"""Where long loops report how far they are. Whoever runs them decides what to show; by default, nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeAlias, TypeVar

T = TypeVar("T")
Words: TypeAlias = Callable[[T], int] | None


class Tracker(Protocol):
    """Yields the items of a loop, and shows how far it is."""

    def __call__(
        self, items: Iterable[T], what: str, total: int | None, size: Callable[[T], int], words: Words[T], /
    ) -> Iterator[T]: ...


_tracker: ContextVar[Tracker | None] = ContextVar("tracker", default=None)


def track(
    items: Iterable[T], what: str, total: int | None, size: Callable[[T], int], words: Words[T] = None
) -> Iterator[T]:
    """The items, one after another, shown by the tracker of this context.

    `what` names and counts what the loop goes through, such as "words" or "sentences of train". An item is `size` of
    `total` of them; None is an unknown total. With `words`, the number of words in an item, the rate is that of words.
    """
    tracker = _tracker.get()
    return iter(items) if tracker is None else tracker(items, what, total, size, words)


@contextmanager
def tracked_by(tracker: Tracker) -> Iterator[None]:
    """Shows loops in this context by a tracker."""
    token = _tracker.set(tracker)
    try:
        yield
    finally:
        _tracker.reset(token)
