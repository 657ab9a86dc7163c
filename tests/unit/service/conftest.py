"""`fpplm serve` as a process of its own, with a tiny bundle."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.hostile_bundles.tiny import write_tiny_bundle

FPPLM = [sys.executable, "-c", "from fpplm.cli.entry import start; start()"]


class Server:
    """A running service and a client of it; `log` is what it has written to stderr."""

    def __init__(self, bundle: Path, log: Path, *options: str) -> None:
        self.log = log
        command = [*FPPLM, "serve", str(bundle), "--port", "0", "--device", "cpu", "--threads", "1", *options]
        with log.open("w") as stream:
            self.process = subprocess.Popen(command, stderr=stream)
        self.client = httpx.Client(base_url=self._address(), timeout=20)

    def _address(self) -> str:
        while self.process.poll() is None:
            if found := re.search(r", at (http://\S+)\n", self.log.read_text()):
                return found[1]
            with_timeout(self.process, 0.02)
        raise RuntimeError(self.log.read_text())

    def predict(self, **body: object) -> httpx.Response:
        return self.client.post("/predict", json=body)

    def entities(self, text: str) -> list[tuple[str, str, int, int]]:
        (row,) = self.predict(texts=[text]).raise_for_status().json()["entities"]
        return [(one["text"], one["label"], one["start"], one["end"]) for one in row]

    def metrics(self) -> dict[str, float]:
        lines = self.client.get("/metrics").text.splitlines()
        return {name: float(value) for name, value in (one.rsplit(" ", 1) for one in lines if one[0] != "#")}

    def stop(self) -> int:
        """The exit code after SIGTERM."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def with_timeout(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Waits for a process to end, for a moment."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("served") / "bundle", label_lm=None)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts a service with these options; those that still run at the end are stopped."""
    running: list[Server] = []

    def begin(bundle: Path, *options: str) -> Server:
        running.append(Server(bundle, tmp_path_factory.mktemp("log") / "log", *options))
        return running[-1]

    yield begin
    for server in running:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="module")
def server(start: Callable[..., Server], bundle: Path) -> Server:
    """One service for the tests that leave it as it is."""
    small = ("--max-body", "20000", "--max-texts", "20", "--max-characters", "5000")
    return start(bundle, *small)
