"""A second model that answers a share of the requests too: where both models differ, and how long they take."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fpplm.service.job import Answers
from fpplm.service.limits import Overloaded
from fpplm.service.log import log, log_error
from fpplm.service.metrics import Metrics
from fpplm.service.model import Model
from fpplm.service.texts import Texts
from fpplm_core.files import write_json
from fpplm_core.serving import Entity

KEPT = 10_000  # latencies
PERIOD = 10.0  # s between two writes
EXAMPLES = 100  # texts with different answers that the report repeats, if it may contain texts
BOTH, SERVED, SHADOW = "both", "served", "shadow"  # who found an entity


class Shadow:
    """Compares the answers of `model` with those that callers got, for a `share` of the requests, from 0 to 1.

    It has its own queue: if its answer to a request is late, that request is skipped.
    """

    def __init__(self, model: Model, share: float, metrics: Metrics, keep_texts: bool) -> None:
        self.model, self.share, self.metrics = model, share, metrics
        self.outcomes: Counter[str] = Counter()
        self.found: Counter[tuple[str, str]] = Counter()  # entities by label and who found them
        self.seconds: dict[str, deque[float]] = {who: deque(maxlen=KEPT) for who in (SERVED, SHADOW)}
        self.examples: deque[dict[str, Any]] | None = deque(maxlen=EXAMPLES) if keep_texts else None
        self.tasks: set[asyncio.Task[None]] = set()

    def see(self, texts: Texts, served: Answers, seconds: float) -> None:
        """Compares an answered request if it is drawn at random; returns at once."""
        if random.random() < self.share:
            task = asyncio.create_task(self._compare(texts, served, seconds))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _compare(self, texts: Texts, served: Answers, seconds: float) -> None:
        start = time.perf_counter()
        try:
            own = await self.model.batcher.answer(texts)
        except Overloaded:
            self._count("skipped", len(served))
            return
        except Exception as error:
            log_error(error)
            self._count("failed", len(served))
            return
        self.seconds[SERVED].append(seconds)
        self.seconds[SHADOW].append(time.perf_counter() - start)
        self.metrics.shadow_latency.observe(self.seconds[SHADOW][-1])
        for number, (first, second) in enumerate(zip(served, own, strict=True)):
            self._compare_text(texts, number, first, second)

    def _compare_text(self, texts: Texts, number: int, served: Sequence[Entity], own: Sequence[Entity]) -> None:
        first, second = ({(e.start, e.end, e.label) for e in some} for some in (served, own))
        self._count("equal" if first == second else "different", 1)
        for who, found in ((BOTH, first & second), (SERVED, first - second), (SHADOW, second - first)):
            for _, _, label in found:
                self.found[label, who] += 1
                self.metrics.shadow_entities.labels(label, who).inc()
        if self.examples is not None and first != second:
            text = (texts.texts or texts.words or ())[number]
            self.examples.append({"text": text, SERVED: sorted(first - second), SHADOW: sorted(second - first)})

    def _count(self, outcome: str, texts: int) -> None:
        self.outcomes[outcome] += texts
        self.metrics.shadow_texts.labels(outcome).inc(texts)

    def report(self) -> dict[str, Any]:
        """Texts by outcome, entities by label and who found them, latencies in ms."""
        labels = sorted({label for label, _ in self.found})
        report = {
            "shadow": self.model.version,
            "texts": dict(self.outcomes),
            "entities": {label: {who: self.found[label, who] for who in (BOTH, SERVED, SHADOW)} for label in labels},
            "milliseconds": {who: _summary(values) for who, values in self.seconds.items()},
        }
        return report if self.examples is None else {**report, "examples": list(self.examples)}

    async def write(self, file: Path) -> None:
        """Writes the report every PERIOD seconds, and a last time when it is cancelled."""
        try:
            while True:
                await asyncio.sleep(PERIOD)
                self._write(file)
        finally:
            if self.tasks:
                await asyncio.wait(self.tasks, timeout=1)
            self._write(file)

    def _write(self, file: Path) -> None:
        try:
            write_json(file, self.report())
        except OSError as error:  # a full disk may be emptied
            log(f"{file} was not written: {error.strerror or error}")


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {}
    parts = statistics.quantiles(seconds, n=100)
    return {"median": 1000 * parts[49], "p95": 1000 * parts[94], "p99": 1000 * parts[98]}
