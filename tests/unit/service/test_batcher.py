"""The queue: what shares a batch, what happens when a run fails, and that nobody waits for nothing."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpplm.service.batcher import Batcher
from fpplm.service.limits import Limits, Overloaded
from fpplm.service.metrics import Metrics, ModelMetrics
from fpplm.service.texts import Texts
from fpplm_core.errors import BundleError
from fpplm_core.serving import Predictor

WAIT = 2.0  # seconds, many more than a run takes on a busy machine


def texts(*some: str) -> Texts:
    return Texts(some, None, [None] * len(some))


def ask(predictor: Predictor, asked: list[Texts], limits: Limits | None = None) -> list[Any]:
    """The answers or errors to requests that arrive at once."""

    async def gather() -> list[Any]:
        batcher = Batcher(predictor, limits or Limits(wait=0.05), ModelMetrics(Metrics(), "served"))
        try:
            return await asyncio.gather(*map(batcher.answer, asked), return_exceptions=True)
        finally:
            await asyncio.to_thread(batcher.close)

    return asyncio.run(gather())


@pytest.fixture
def predictor(bundle: Path) -> Predictor:
    return Predictor.load(bundle, "cpu", threads=1)


def observe(predictor: Predictor, act: Callable[[list[Any]], None]) -> None:
    """Calls `act` with the windows of each run before it."""
    submit = predictor.submit

    def watched(windows: Any) -> Any:
        act(windows)
        return submit(windows)

    predictor.submit = watched  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", range(5))
def test_answers_do_not_depend_on_what_shares_the_batch(predictor, seed):
    chosen = random.Random(seed)
    words = ["in", "London", "NATO", "no", "Paris", "of"]
    asked = [
        texts(
            *(" ".join(chosen.choices(words, k=chosen.choice([0, 1, 5, 60]))) for _ in range(chosen.choice([0, 1, 4])))
        )
        for _ in range(30)
    ]
    alone = [[predictor.predict(text) for text in one.texts or ()] for one in asked]
    assert ask(predictor, asked) == alone


def test_requests_share_runs_by_pieces(predictor):
    runs: list[list[Any]] = []
    observe(predictor, runs.append)
    found = ask(predictor, [texts("in London")] * 40)
    assert [len(run) for run in runs] == [40] and len(found) == 40
    runs.clear()
    predictor.threads = 1
    ask(predictor, [texts("no " * 2000), *[texts("in London")] * 40])
    assert all(sum(len(window.ids) for window in run[:-1]) < 1024 for run in runs)
    assert sum(len(window.ids) == 4 for window in runs[0]) == 40  # the long text does not hold up the short ones


def test_a_batch_waits_for_as_many_requests_as_the_one_before_had(predictor):
    """One caller never waits; of several who always wait for their answers, each batch has all."""
    runs: list[int] = []
    observe(predictor, lambda windows: runs.append(len(windows)))

    async def callers(batcher: Batcher, count: int) -> float:
        start = time.monotonic()
        for _ in range(5):
            await asyncio.gather(*(batcher.answer(texts("London")) for _ in range(count)))
        return time.monotonic() - start

    async def scenes() -> list[float]:
        batcher = Batcher(predictor, Limits(wait=WAIT), ModelMetrics(Metrics(), "served"))
        batcher.expected = 1
        found = [await callers(batcher, 1), await callers(batcher, 8), await callers(batcher, 1)]
        await asyncio.to_thread(batcher.close)
        return found

    one, many, again = asyncio.run(scenes())
    assert one < WAIT and again < 2 * WAIT  # the first waits for seven others in vain
    assert many < 2 * WAIT and runs.count(8) >= 4


def test_a_request_that_breaks_the_graph_breaks_no_other(predictor):
    bad = predictor.builder.pieces(["NATO"])[0][0]

    def fail(windows: list[Any]) -> None:
        if any(bad in window.ids for window in windows):
            raise BundleError("the graph gives numbers that are not finite")

    observe(predictor, fail)
    found = ask(predictor, [texts("in London"), texts("Paris", "NATO"), texts("London")])
    assert [type(one) for one in found] == [list, BundleError, list]
    assert [entity.text for row in found[0] + found[2] for entity in row] == ["London", "London"]


def test_a_segmenter_that_fails_breaks_its_own_request(predictor):
    segment = predictor.word_ranges

    def fail(text: str) -> Any:
        if "x" in text:
            raise ZeroDivisionError
        return segment(text)

    predictor.word_ranges = fail
    found = ask(predictor, [texts("London"), texts("x"), texts("", "Paris")])
    assert [type(one) for one in found] == [list, ZeroDivisionError, list]


def test_the_queue_is_empty_after_every_kind_of_end(predictor):
    """Characters are given back once: after an answer, an error and a deadline, even of a request in several runs."""
    hold = threading.Event()
    observe(predictor, lambda windows: hold.wait(0.3) and None)
    metrics = Metrics()

    async def ends() -> tuple[list[Any], Batcher]:
        batcher = Batcher(predictor, Limits(wait=0, deadline=0.5, queue=100_000), ModelMetrics(metrics, "served"))
        asked = [texts("no " * 9000), texts("London"), texts("no " * 9000), texts("")]
        found = await asyncio.gather(*map(batcher.answer, asked), return_exceptions=True)
        await asyncio.to_thread(batcher.close)
        return found, batcher

    found, batcher = asyncio.run(ends())
    assert {type(one) for one in found} >= {list, Overloaded}
    assert batcher.characters == 0 and not batcher.active


def test_a_cancelled_request_gives_its_characters_back_at_once_and_runs_no_further(predictor):
    running, hold = threading.Event(), threading.Event()
    runs: list[Any] = []

    def act(windows: list[Any]) -> None:
        runs.append(windows)
        running.set()
        hold.wait(5)

    observe(predictor, act)

    async def ends() -> None:
        batcher = Batcher(predictor, Limits(wait=0), ModelMetrics(Metrics(), "served"))
        task = asyncio.create_task(batcher.answer(texts("no " * 9000)))
        await asyncio.to_thread(running.wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled() and batcher.characters == 0
        hold.set()
        await asyncio.to_thread(batcher.close)

    asyncio.run(ends())
    assert len(runs) == 1


def test_a_run_that_cannot_be_ended_ends_the_life_of_the_service(predictor, monkeypatch):
    monkeypatch.setattr("fpplm.service.batcher.DEADLINE", 0.1)
    running, hold = threading.Event(), threading.Event()
    observe(predictor, lambda windows: running.set() or hold.wait(5))

    async def ends() -> None:
        batcher = Batcher(predictor, Limits(wait=0), ModelMetrics(Metrics(), "served"))
        task = asyncio.create_task(batcher.answer(texts("London")))
        await asyncio.to_thread(running.wait)
        assert batcher.is_alive
        await asyncio.sleep(0.3)
        assert not batcher.is_alive
        hold.set()
        await task
        assert batcher.is_alive
        await asyncio.to_thread(batcher.close)

    asyncio.run(ends())


def test_a_full_queue_is_empty_after_the_deadline_at_the_latest(predictor):
    async def refusal() -> Overloaded:
        batcher = Batcher(predictor, Limits(queue=100, deadline=5, wait=1), ModelMetrics(Metrics(), "served"))
        batcher.recent = (1.0, 10.0)  # 10 s for a character
        first = asyncio.create_task(batcher.answer(texts("no " * 30)))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:
            await batcher.answer(texts("no " * 30))
        await first
        await asyncio.to_thread(batcher.close)
        return refused.value

    assert asyncio.run(refusal()).retry_after == 5


def test_a_thread_that_ends_leaves_nobody_waiting(predictor, monkeypatch, capfd):
    async def ends() -> list[Any]:
        batcher = Batcher(predictor, Limits(wait=0.05, deadline=5), ModelMetrics(Metrics(), "served"))
        monkeypatch.setattr(batcher, "_take", lambda: 1 / 0)
        first = await asyncio.gather(*map(batcher.answer, [texts("London")] * 3), return_exceptions=True)
        assert not batcher.is_alive
        return first + await asyncio.gather(batcher.answer(texts("London")), return_exceptions=True)

    found = asyncio.run(asyncio.wait_for(ends(), 3))
    assert [type(one) for one in found] == [Overloaded] * 4
    said = capfd.readouterr().err
    assert said.startswith("unexpected ZeroDivisionError at ") and said.count("\n") == 1
