"""Users that send one text at a time; records the times and statuses of requests. Runs in Locust's environment.

Variables: TEXTS is a JSON list of texts, RATE the mean requests/s of each user, at random moments (0: the next one
follows each answer), OUT the file for the results.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from collections import Counter
from pathlib import Path

import gevent
from locust import FastHttpUser, events, task

RATE = float(os.environ["RATE"])
TEXTS = itertools.cycle(json.loads(Path(os.environ["TEXTS"]).read_text(encoding="utf-8")))
taken: list[float] = []  # ms
statuses: Counter[str] = Counter()
moments: list[float] = []  # of answers, in s


class Caller(FastHttpUser):
    def on_start(self) -> None:
        gevent.sleep(self.wait_time())  # otherwise all users would begin at once

    def wait_time(self) -> float:
        return random.expovariate(RATE) if RATE else 0.0

    @task
    def predict(self) -> None:
        with self.client.post("/predict", json={"texts": [next(TEXTS)]}, catch_response=True) as answer:
            statuses[str(answer.status_code)] += 1
            moments.append(time.monotonic())
            if answer.status_code == 200:
                taken.append(answer.request_meta["response_time"])
            answer.success()


@events.quitting.add_listener
def write(**_: object) -> None:
    found = {"statuses": statuses, "milliseconds": taken, "seconds": moments[-1] - moments[0]}
    Path(os.environ["OUT"]).write_text(json.dumps(found), encoding="utf-8")
