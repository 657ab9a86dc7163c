"""The limits of the service, and the errors for requests beyond them."""

from __future__ import annotations

from dataclasses import dataclass

CORE_PIECES = 1024  # pieces in a batch for each core, which take MiniLM a third of a second in float32


@dataclass(frozen=True)
class Limits:
    """The largest request, the longest queue, and the longest wait.

    `body` is in bytes, `characters` in characters of one text, `queue` in characters of all requests that have no
    answer yet, `deadline` and `wait` in seconds. `wait` is how long a batch waits for more requests.
    """

    body: int = 1 << 20
    texts: int = 1000
    characters: int = 100_000
    queue: int = 200_000
    deadline: float = 10.0
    wait: float = 0.002


class Refused(Exception):
    """A request that gets no entities: the HTTP status, and one line with the reason."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class Overloaded(Refused):
    """The queue is full, or the deadline passed; `retry_after` is in whole seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(503, message, max(1, min(60, round(retry_after))))
