"""Batches the windows of many requests. One thread owns the predictor: only it tokenizes, runs the graph and decodes.

The queue is limited in characters, which are known without any work, so refusing a request costs nothing. Batches
consist of windows and are limited in pieces: a long text shares its batches with short ones, which do not wait for it.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import NamedTuple

from fpplm.service.job import Answers, Job, deliver
from fpplm.service.limits import CORE_PIECES, Limits, Overloaded, Refused
from fpplm.service.log import log_error
from fpplm.service.metrics import ModelMetrics
from fpplm.service.texts import Texts
from fpplm_core.serving import Predictor
from fpplm_core.serving.deadline import DEADLINE
from fpplm_core.serving.onnx_session import cores
from fpplm_core.serving.sketch import Sketch
from fpplm_core.tagging.windows import Window

FADING = 0.9  # a batch's weight in the average speed decreases by this factor with each later batch


class Batch(NamedTuple):
    """Windows with their jobs, and why the batch does not wait for more: full, expected, waited or drained."""

    rows: list[tuple[Job, Window]]
    reason: str


class Batcher:
    """The queue in front of a predictor, and the thread that takes requests from it."""

    def __init__(
        self, predictor: Predictor, limits: Limits, metrics: ModelMetrics, sketch: Sketch | None = None
    ) -> None:
        self.predictor, self.limits, self.metrics, self.sketch = predictor, limits, metrics, sketch
        self.most_pieces = CORE_PIECES * (predictor.threads or cores())
        self.changed = threading.Condition()
        # These four are accessed under the lock of `changed`: the event loop changes them too.
        self.arrived: deque[Job] = deque()
        self.unanswered: set[Job] = set()
        self.characters = 0  # of the unanswered jobs
        self.is_closing = False
        self.active: deque[Job] = deque()  # jobs with windows to run, in turn; only the thread uses it
        self.recent = (0.0, 0.0)  # characters answered and seconds that they took, of the last batches
        self.started = math.inf  # when the present run did
        self.ended = 0.0  # when the last batch was answered
        self.expected: float = math.inf  # a batch of so many requests need not wait: the size of the last one
        self.thread = threading.Thread(target=self._work, name="fpplm batcher", daemon=True)
        self.thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it answers; not if a run lasts so long that ONNX Runtime, told to end it, evidently cannot."""
        return self.thread.is_alive() and not self.is_closing and time.monotonic() - self.started < 2 * DEADLINE

    async def answer(self, texts: Texts) -> Answers:
        """The entities of each text.

        Raises Refused if they are longer than the queue, Overloaded if the queue is full or the deadline passes, and
        BundleError if the bundle cannot tag these texts. Whoever cancels the wait cancels the work.
        """
        job = Job(texts, time.monotonic() + self.limits.deadline)
        with self.changed:
            if self.is_closing:
                raise Overloaded("the service is ending", 1)
            if texts.characters > self.limits.queue:
                most = f"at most {self.limits.queue:,} are accepted"
                raise Refused(413, f"the request has {texts.characters:,} characters; {most}")
            if self.characters + texts.characters > self.limits.queue:
                raise Overloaded(f"the queue is full: {self.characters:,} characters wait", self.seconds_of_work())
            self.characters += texts.characters
            self.unanswered.add(job)
            self.arrived.append(job)
            self.changed.notify()
        try:
            async with asyncio.timeout(self.limits.deadline):
                return await job.answer
        except TimeoutError:
            raise Overloaded(f"no answer within {self.limits.deadline:g} s", self.seconds_of_work()) from None
        finally:
            self._leave_queue([job])

    def seconds_of_work(self) -> float:
        """How long the queue will take, at the speed of the last batches; no request waits beyond the deadline."""
        characters, seconds = self.recent
        return min(self.characters * seconds / characters, self.limits.deadline) if characters else 1.0

    def close(self) -> None:
        """Answers the requests in the queue, then ends the thread."""
        with self.changed:
            self.is_closing = True
            self.changed.notify()
        self.thread.join()

    def _work(self) -> None:
        try:
            while batch := self._next_batch():
                start = time.monotonic()
                self._run(batch.rows)
                self.started = math.inf
                jobs = list({id(job): job for job, _ in batch.rows}.values())
                self.expected = len(jobs)
                answers = self._answers(jobs)
                self.ended = time.monotonic()
                seconds, done = self.ended - start, sum(job.texts.characters for job, _ in answers)
                self.metrics.batch(batch.reason, sum(len(window.ids) for _, window in batch.rows), seconds)
                self.recent = self.recent[0] * FADING + done, self.recent[1] * FADING + seconds
                self._resolve(answers)  # last: whoever has an answer finds it in the metrics
        except Exception as error:  # a defect of this module: no request may wait for a thread that has ended
            log_error(error)
            with self.changed:
                self.is_closing = True
                rest = list(self.unanswered)
            self._resolve([(job, Overloaded("the service is ending", 1)) for job in rest])

    def _next_batch(self) -> Batch | None:
        """Waits for enough windows, or until the oldest job has waited long enough. None once closed and empty."""
        while True:
            self._prepare(self._arrivals())
            if not self.active and self.is_closing and not self.arrived:
                return None
            if not self.active:
                continue
            since = max(self.ended, min(job.arrived for job in self.active))
            left = since + self.limits.wait - time.monotonic()
            if reason := self._reason(left):
                if rows := self._take():
                    return Batch(rows, reason)
            else:
                with self.changed:
                    self.changed.wait_for(lambda: self.arrived or self.is_closing, left)

    def _reason(self, left: float) -> str:
        """Why a batch starts now; "" if it should wait for more requests, which it does for at most `left` s.

        Waiting helps because the clients of a batch send their next requests at about the same time. A single client
        never waits.
        """
        if sum(len(window.ids) for job in self.active for window in job.pending) >= self.most_pieces:
            return "full"
        if len(self.active) >= self.expected:
            return "expected"
        return "waited" if left <= 0 else "drained" if self.is_closing else ""

    def _arrivals(self) -> list[Job]:
        """The jobs that have arrived; waits for some if there is nothing else to do."""
        with self.changed:
            self.changed.wait_for(lambda: self.arrived or self.active or self.is_closing)
            new = list(self.arrived)
            self.arrived.clear()
        return new

    def _prepare(self, jobs: Iterable[Job]) -> None:
        """Adds jobs to the active ones; answers those that have no words or fail."""
        for job in jobs:
            if job.is_late:
                self._give_up(job)
                continue
            try:
                job.prepare(self.predictor)
            except Exception as error:  # the user's own segmenter may raise anything
                job.error = error
            if job.pending and not job.error:
                self.active.append(job)
            else:
                self._resolve(self._answers([job]))

    def _take(self) -> list[tuple[Job, Window]]:
        """One window of each job in turn, until the batch is full or no window is left."""
        rows: list[tuple[Job, Window]] = []
        pieces = 0
        while self.active and pieces < self.most_pieces:
            job = self.active.popleft()
            if job.is_late:
                self._give_up(job)
            if job not in self.unanswered:  # late, or failed in an earlier batch
                continue
            window = job.pending.popleft()
            if job.missing == len(job.pending) + 1:
                self.metrics.waits.observe(time.monotonic() - job.arrived)
            pieces += len(window.ids)
            rows.append((job, window))
            if job.pending:
                self.active.append(job)
        return rows

    def _give_up(self, job: Job) -> None:
        self._resolve([(job, Overloaded("the deadline passed", self.seconds_of_work()))])

    def _run(self, rows: list[tuple[Job, Window]]) -> None:
        """Runs windows together; if that fails, runs each job separately, so that no job fails because of another."""
        owners = {id(window): job for job, window in rows}
        self.started = time.monotonic()
        try:
            batches, results = self.predictor.submit([window for _, window in rows])
            found = list(results)
        except Exception as error:  # the bundle fails on some of these windows
            jobs = list({id(job): job for job, _ in rows}.values())
            if len(jobs) == 1:
                jobs[0].error = error
                return
            for one in jobs:
                self._run([(job, window) for job, window in rows if job is one])
            return
        for batch, logits in zip(batches, found, strict=True):
            for window, values in zip(batch, logits, strict=True):
                owners[id(window)].store(window, values[: len(window.owned_words)])

    def _answers(self, jobs: Sequence[Job]) -> list[tuple[Job, Answers | Exception]]:
        """The answers of the jobs that are complete or have failed."""
        right = [job for job in jobs if not job.error and not job.missing]
        spans = iter(self.predictor.decoder.scored_spans([one for job in right for one in job.logits]))
        answers: list[tuple[Job, Answers | Exception]] = []
        for job in jobs:
            if job.error:
                self.metrics.failure(job.error)
                answers.append((job, job.error))
            elif not job.missing:
                rows = list(islice(spans, len(job.sentences)))
                found = [job.texts.entities(text, row) for text, row in zip(job.sentences, rows, strict=True)]
                if self.sketch:  # by their words: a document is one of a request, and its number no other's
                    for text, row in zip(job.sentences, rows, strict=True):
                        self.sketch.add([word for word, _, _ in text.words], self.predictor.builder, row)
                self.metrics.answer(sum(len(text.words) for text in job.sentences), chain.from_iterable(found))
                answers.append((job, found))
        return answers

    def _resolve(self, answers: Sequence[tuple[Job, Answers | Exception]]) -> None:
        self._leave_queue(job for job, _ in answers)
        for loop in {job.loop for job, _ in answers}:
            with suppress(RuntimeError):  # the loop has ended, so nobody waits
                loop.call_soon_threadsafe(deliver, [one for one in answers if one[0].loop is loop])

    def _leave_queue(self, jobs: Iterable[Job]) -> None:
        with self.changed:
            for job in self.unanswered.intersection(jobs):
                self.unanswered.remove(job)
                self.characters -= job.texts.characters
