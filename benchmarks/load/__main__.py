"""The service on one core under load from another: words per CPU-second, latency, reloads, overload, memory.

Rounds alternate with offline prediction on the same core. CPU-seconds hardly depend on other work of the machine;
latencies do. FOLDER has `bundle` and `texts.json`, which `fpplm bench predict` prepares. Install Locust into an
environment of its own, and name its command with --locust.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.harness import machine
from benchmarks.harness.turns import FOLDER, spread
from fpplm_core.export.bundle_writer import seal
from fpplm_core.files import read_json

SERVER, CALLERS = 0, 1  # cores
MANY = 64  # users that keep the server busy
SIMULATED = 200_000  # requests
START = "from fpplm.cli.entry import start; start()"
OFFLINE = """
import json, sys, time
from pathlib import Path
from fpplm_core.serving import Predictor

predictor, texts = Predictor.load(sys.argv[1], "cpu", sys.argv[3]), json.loads(Path(sys.argv[2]).read_text())
list(predictor.predict_many(texts[:50]))
start = time.process_time()
list(predictor.predict_many(texts))
seconds = time.process_time() - start
print(sum(len(predictor.segment(text).words) for text in texts) / seconds)
"""


def on_core(core: int, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(["taskset", "--cpu-list", str(core), *command], text=True, **options)


class Server:
    """The service on its core, and its metrics."""

    def __init__(self, bundle: Path, log: Path, *options: str) -> None:
        self.log = log
        command = [sys.executable, "-c", START, "serve", str(bundle), "--port", "0", *options]
        self.process = on_core(SERVER, command, stderr=log.open("w"))
        while not (found := re.search(r", at (\S+)\n", log.read_text())):
            if self.process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.1)
        self.address = found[1]

    def counts(self) -> dict[str, float]:
        with urllib.request.urlopen(f"{self.address}/metrics") as page:
            lines = page.read().decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def load(
    server: Server, options: argparse.Namespace, users: int, rate: float = 0, meanwhile: Callable[[], Any] | None = None
) -> dict[str, Any]:
    """Measures latency for users who together send `rate` requests/s (0: all they can), and the server's cost."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place, "out.json")
        variables = {"TEXTS": str(options.plain), "RATE": str(rate / users), "OUT": str(out)}
        file = Path(__file__).with_name("locustfile.py")
        command = [options.locust, "-f", str(file), "--headless", "--only-summary", "--host", server.address]
        command += ["--users", str(users), "--spawn-rate", str(users), "--run-time", f"{options.seconds}s"]
        before = server.counts()
        with ThreadPoolExecutor(1) as beside:
            job = beside.submit(meanwhile) if meanwhile else None
            callers = on_core(
                CALLERS, command, env=os.environ | variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            callers.wait()
            if job:
                job.result()
        after, found = server.counts(), read_json(out)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    parts = statistics.quantiles(found["milliseconds"], n=100)
    cpu, words = grown("process_cpu_seconds_total"), grown('fpplm_words_total{role="served"}')
    batches = grown('fpplm_batch_pieces_count{role="served"}')
    return {
        "statuses": found["statuses"],
        "requests_per_s": sum(found["statuses"].values()) / found["seconds"],
        "milliseconds": found["milliseconds"],
        "median_ms": parts[49],
        "p95_ms": parts[94],
        "p99_ms": parts[98],
        "words_per_cpu_s": words / cpu,
        "cpu_share": cpu / found["seconds"],
        "pieces_per_batch": grown('fpplm_batch_pieces_sum{role="served"}') / max(1, batches),
        "resident_bytes": after["process_resident_memory_bytes"],
    }


def queue_p99(service: Sequence[float], rate: float) -> float:
    """The p99 of time in a queue with one server, first come, first served, one at a time, by Lindley's recursion.

    `service` has the times of a single caller in ms. They are shortened alike, to what the server needs per request at
    full load; `rate` is that of full load in requests/s, of which half arrive, at random moments.
    """
    draw, waiting, found = random.Random(1), 0.0, []
    shorter = 1000 / rate / statistics.fmean(service)
    for _ in range(SIMULATED):
        waiting += shorter * draw.choice(service)
        found.append(waiting)
        waiting = max(0.0, waiting - draw.expovariate(rate / 2000))
    return statistics.quantiles(found, n=100)[98]


def offline(options: argparse.Namespace) -> float:
    """Measures words per CPU-second of the predictor on the server's core."""
    command = [sys.executable, "-c", OFFLINE, str(options.folder / "bundle"), str(options.plain), options.variant]
    done = on_core(SERVER, command, stdout=subprocess.PIPE)
    return float(done.communicate()[0])


def reloads(bundle: Path, pause: float) -> None:
    """Seals a bundle anew three times, with another digest each time."""
    for number in range(3):
        time.sleep(pause)
        seal(bundle, {"scores": {}, "number": number})


def measure(options: argparse.Namespace) -> dict[str, Any]:
    bundle = Path(shutil.copytree(options.folder / "bundle", options.work / "bundle", dirs_exist_ok=True))
    rounds: dict[str, list[Any]] = {"offline_words_per_cpu_s": [], "full": [], "single": [], "half": []}
    common = ("--variant", options.variant, "--wait", str(options.wait))
    server = Server(bundle, options.work / "log", "--watch", *common)
    load(server, options, MANY)  # the first requests fill caches
    for _ in range(options.rounds):
        rounds["offline_words_per_cpu_s"].append(offline(options))
        rounds["full"].append(load(server, options, MANY))
        rounds["single"].append(load(server, options, 1))
        rounds["half"].append(load(server, options, MANY, rounds["full"][-1]["requests_per_s"] / 2))
        print(json.dumps({name: found[-1] for name, found in rounds.items()}), file=sys.stderr, flush=True)
    rate = statistics.median(one["requests_per_s"] for one in rounds["full"])
    moving = load(server, options, MANY, rate / 2, lambda: reloads(bundle, options.seconds / 4))
    moving["taken"] = server.counts().get('fpplm_reloads_total{outcome="taken"}', 0)
    memory = []
    for _ in range(options.memory):
        memory.append(load(server, options, MANY)["resident_bytes"])
    server.stop()
    small = Server(bundle, options.work / "log", "--queue", "3000", *common)
    beyond = load(small, options, 4 * MANY, 2 * rate)
    small.stop()
    ratios = [
        full["words_per_cpu_s"] / alone
        for full, alone in zip(rounds["full"], rounds["offline_words_per_cpu_s"], strict=True)
    ]
    tails = [half["p99_ms"] / one["median_ms"] for half, one in zip(rounds["half"], rounds["single"], strict=True)]
    floors = [
        queue_p99(one["milliseconds"], full["requests_per_s"]) / one["median_ms"]
        for full, one in zip(rounds["full"], rounds["single"], strict=True)
    ]
    for one in (*rounds["full"], *rounds["single"], *rounds["half"], moving, beyond):
        del one["milliseconds"]
    return {
        "variant": options.variant,
        "words_per_cpu_s_ratio_to_offline": spread(ratios),
        "p99_at_half_load_ratio_to_single_median": spread(tails),
        "p99_of_a_simulated_queue_ratio_to_single_median": spread(floors),
        **rounds,
        "reloads": moving,
        "beyond": beyond,
        "resident_bytes": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--locust", default="locust", help="the command of an environment with Locust")
    parser.add_argument("--variant", default="fp32")
    parser.add_argument("--wait", type=float, default=2.0, help="ms, as fpplm serve takes it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20, help="of each load")
    parser.add_argument("--memory", type=int, default=0, help="further loads at which memory is read")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/serve.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        options.work, options.plain = Path(work), Path(work, "plain.json")
        texts = [" ".join(words) for words in read_json(options.folder / "texts.json")]
        options.plain.write_text(json.dumps(texts), encoding="utf-8")
        result = measure(options)
    print(json.dumps(result, indent=2))
    if options.save:
        machine.save("serve.json", result)


if __name__ == "__main__":
    main()
