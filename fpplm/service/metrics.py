"""The metrics of the service, with names and units as Prometheus recommends. They contain no text of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from fpplm_core.serving import Entity

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
PIECES = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class Metrics:
    """All series of a process. `role` is "served" or "shadow"."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        own: dict[str, Any] = {"registry": self.registry}
        role = ["role"]
        self.requests = Counter("fpplm_requests", "Answers by route and HTTP status", ["route", "status"], **own)
        self.latency = Histogram(
            "fpplm_request_seconds", "Time from a request to its answer", ["route"], buckets=SECONDS, **own
        )
        self.model = Info("fpplm_model", "The loaded models", role, **own)
        self.reloads = Counter("fpplm_reloads", "New versions, by outcome: taken or refused", ["outcome"], **own)
        self.queue = Gauge("fpplm_queue_characters", "Characters of requests without an answer", role, **own)
        self.waits = Histogram("fpplm_wait_seconds", "Wait of a request for its batch", role, buckets=SECONDS, **own)
        self.batches = Counter(
            "fpplm_batches",
            "Batches by why they started: full, expected, waited, drained",
            [*role, "reason"],
            **own,
        )
        self.sizes = Histogram("fpplm_batch_pieces", "Pieces of a batch", role, buckets=PIECES, **own)
        self.busy = Counter("fpplm_batch_seconds", "Time in batches", role, **own)
        self.words = Counter("fpplm_words", "Tagged words", role, **own)
        self.entities = Counter("fpplm_entities", "Found entities by label", [*role, "label"], **own)
        self.failures = Counter("fpplm_failures", "Requests that failed, by error", [*role, "error"], **own)
        self.shadow_texts = Counter(
            "fpplm_shadow_texts", "Texts that the shadow saw: equal, different, skipped or failed", ["outcome"], **own
        )
        self.shadow_entities = Counter(
            "fpplm_shadow_entities", "Entities by who found them: both, served or shadow", ["label", "found_by"], **own
        )
        self.shadow_latency = Histogram("fpplm_shadow_seconds", "Time of the shadow's answers", buckets=SECONDS, **own)

    def page(self) -> bytes:
        return generate_latest(self.registry)


class ModelMetrics:
    """The series of a model in one role."""

    def __init__(self, metrics: Metrics, role: str) -> None:
        self.metrics, self.role = metrics, role
        self.waits = metrics.waits.labels(role)

    def serve(self, name: str, version: str, variant: str, queue: Callable[[], float]) -> None:
        """Publishes the model that has the role now, and the length of its queue in characters."""
        self.metrics.model.labels(self.role).info({"name": name, "version": version, "variant": variant})
        self.metrics.queue.labels(self.role).set_function(queue)

    def batch(self, reason: str, pieces: int, seconds: float) -> None:
        self.metrics.batches.labels(self.role, reason).inc()
        self.metrics.sizes.labels(self.role).observe(pieces)
        self.metrics.busy.labels(self.role).inc(seconds)

    def answer(self, words: int, entities: Iterable[Entity]) -> None:
        self.metrics.words.labels(self.role).inc(words)
        for entity in entities:
            self.metrics.entities.labels(self.role, entity.label).inc()

    def failure(self, error: Exception) -> None:
        self.metrics.failures.labels(self.role, type(error).__name__).inc()
