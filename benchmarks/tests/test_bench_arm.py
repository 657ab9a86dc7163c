import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import peers
from benchmarks.harness import arm, tagging
from tests.conftest import ROOT

ARM = """
import sys

sys.path.insert(0, {root!r})
from benchmarks.harness import arm


def prepare(task):
    print("a library greets")

    def job():
        print("a library warns")
        return {{"entities": task["count"]}}

    return {{"corpus": job, "broken": lambda: 1 / 0}}, {{"batch": 8}}


arm.serve(prepare, ["numpy"])
"""


def run(tmp_path: Path, jobs: str) -> tuple[list[dict[str, Any]], subprocess.CompletedProcess[str]]:
    script = tmp_path / "tiny.py"
    script.write_text(ARM.format(root=str(ROOT)))
    command = [sys.executable, str(script), json.dumps({"count": 3})]
    ended = subprocess.run(command, input=jobs, capture_output=True, text=True, timeout=60, check=False)
    return [json.loads(line) for line in ended.stdout.splitlines()], ended


def test_an_arm_says_what_it_is_and_answers_each_job(tmp_path: Path) -> None:
    (ready, *answers), ended = run(tmp_path, "corpus\ncorpus\n")
    assert ready["jobs"] == ["corpus", "broken"]
    assert ready["batch"] == 8
    assert {"python", "numpy"} <= ready.keys()
    assert [answer["entities"] for answer in answers] == [3, 3]
    assert all(answer["seconds"] > 0 and answer["peak_bytes"] > 2**20 for answer in answers)
    assert ended.returncode == 0
    assert "a library greets" in ended.stderr
    assert ended.stderr.count("a library warns") == 2


@pytest.mark.parametrize("found", ["cuda", "CUDAExecutionProvider", "cpu", "CPUExecutionProvider"])
def test_no_arm_reports_another_device(found: str) -> None:
    for wanted in ("cpu", "cuda"):
        if wanted in found.lower():
            arm.require_device(wanted, found)
        else:
            with pytest.raises(RuntimeError, match=f"asked for {wanted}, but it runs on {found}"):
                arm.require_device(wanted, found)


def test_an_exception_ends_the_arm(tmp_path: Path) -> None:
    (_, *answers), ended = run(tmp_path, "corpus\nbroken\ncorpus\n")
    assert len(answers) == 1
    assert ended.returncode != 0
    assert "ZeroDivisionError" in ended.stderr


def test_an_unknown_job_ends_the_arm(tmp_path: Path) -> None:
    (_, *answers), ended = run(tmp_path, "nothing\n")
    assert not answers
    assert ended.returncode != 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still until a test moves it."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def test_the_fastest_size_counts_its_better_run(clock: SimpleNamespace) -> None:
    seconds = {1: [5.0, 5.0], 8: [9.0, 2.0], 32: [3.0, 3.0]}  # the first run of 8 is slow, as a cold one is

    def tag(size: int) -> None:
        clock.now += seconds[size].pop(0)

    assert arm.fastest(tag, (1, 8, 32)) == 8
    assert not any(seconds.values())


def test_latency_in_ms(clock: SimpleNamespace) -> None:
    def tag(text: str) -> None:
        clock.now += len(text) / 1000

    texts = ["x" * length for length in range(100, 0, -1)]
    found = arm.one_by_one(tag, texts)
    assert found == {"median_ms": pytest.approx(50.5), "p95_ms": pytest.approx(96)}


def test_taggers_share_their_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "texts.json").write_text(json.dumps([["New", "York"], ["no"]]))
    task = {"folder": str(tmp_path)}
    assert tagging.words(task) == [["New", "York"], ["no"]]
    assert tagging.plain(task) == ["New York", "no"]
    monkeypatch.setattr(arm, "fastest", lambda run, sizes: [run(size) for size in sizes] and sizes[-1])
    called = []

    def tag(texts: Sequence[str], size: int) -> list[list[str]]:
        called.append((len(texts), size))
        return [text.split()[:-1] for text in texts]

    jobs, facts = tagging.jobs(tag, tagging.plain(task))
    assert facts["batch"] == 32
    assert jobs["corpus"]() == {"entities": 1}
    assert jobs["each"]().keys() == {"median_ms", "p95_ms"}
    assert called == [(2, 1), (2, 8), (2, 32), (2, 32), (1, 1), (1, 1)]


def test_every_peer_has_an_arm_and_exact_versions() -> None:
    assert peers.NAMES == ("flair", "gliner", "optimum", "spacy")
    for name in peers.NAMES:
        assert peers.script(name).exists()
        lines = peers.script(name).with_suffix(".txt").read_text().splitlines()
        assert all("==" in line for line in lines if not line.startswith("#"))
        assert sum(line.startswith("torch==") for line in lines) == 1


def test_a_peer_that_fails_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "ENVIRONMENTS", tmp_path)

    def install(name: str) -> None:
        (tmp_path / name).mkdir()
        if name == "flair":
            raise subprocess.CalledProcessError(1, ["pip"], stderr="no such version\n")

    monkeypatch.setattr(peers, "install", install)
    assert peers.make(["flair", "spacy"]) == {"flair": "no such version"}
    assert not (tmp_path / "flair").exists()
    assert peers.ready("spacy")
    assert peers.make(["spacy"]) == {}
    assert "spacy: ready" in capsys.readouterr().out
    (tmp_path / "spacy" / ".ready").write_text("spacy==3.0\n")  # made from other requirements
    assert not peers.ready("spacy")
