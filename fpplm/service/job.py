"""A request in the queue: the windows that are still to run, and the logits so far."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fpplm.service.texts import Texts
from fpplm_core.serving import Entity, Predictor
from fpplm_core.serving.entities import SegmentedText
from fpplm_core.tagging.windows import Window

Answers = list[list[Entity]]  # of each text


class Job:
    """A request in the queue: its texts, the windows that are still to run, and the logits of its words so far.

    The event loop that made the job waits for `answer`.
    """

    def __init__(self, texts: Texts, deadline: float) -> None:
        self.texts, self.deadline, self.arrived = texts, deadline, time.monotonic()
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Answers] = self.loop.create_future()
        self.sentences: list[SegmentedText] = []
        self.pending: deque[Window] = deque()
        self.logits: list[NDArray[np.float32]] = []
        self.missing = 0  # windows without logits
        self.error: Exception | None = None

    def prepare(self, predictor: Predictor) -> None:
        """Splits the texts into words and windows. Raises what the segmenter and the tokenizer raise."""
        self.sentences = self.texts.segmented(predictor.segment)
        words = [[word for word, _, _ in text.words] for text in self.sentences]
        self.pending.extend(predictor.builder.windows(words, self.texts.documents))
        self.missing = len(self.pending)
        self.logits = [np.zeros((len(one), len(predictor.labels)), dtype=np.float32) for one in words]

    def store(self, window: Window, logits: NDArray[np.float32]) -> None:
        self.logits[window.sentence][window.owned_words] = logits
        self.missing -= 1

    @property
    def is_late(self) -> bool:
        return self.answer.done() or time.monotonic() > self.deadline

    def receive(self, found: Answers | Exception) -> None:
        """Ends the wait for the answer; the event loop calls it."""
        if self.answer.done():
            return
        if isinstance(found, Exception):
            self.answer.set_exception(found)
        else:
            self.answer.set_result(found)


def deliver(answers: Sequence[tuple[Job, Answers | Exception]]) -> None:
    """Delivers these answers; the event loop calls it once for all of them, since waking the loop is expensive."""
    for job, found in answers:
        job.receive(found)
