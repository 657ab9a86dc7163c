"""Five hundred hostile or damaged bundles: each is refused in one line, or answers as a whole one would."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.hostile_bundles.pool import KINDS, SLOW_KINDS, Summary, Worker, choose, run
from tests.hostile_bundles.tiny import write_tiny_bundle

BUNDLES = 500
# What native code asks about processors and memory, and the folder that is none, in which it looks for external data.
MACHINE = ("/proc/", "/sys/", '"/dev/null', '"/dev"', '"/"')
MEGABYTES = 600  # resident, at the peak of either process


def test_every_bundle_is_refused_or_answers(tmp_path: Path) -> None:
    summary = Summary("faults")
    assert len(list(run(range(BUNDLES), summary.seed, tmp_path, summary))) == BUNDLES
    assert summary.faults == [] and summary.restarts == 0
    assert summary.megabytes < MEGABYTES
    assert set(summary.outcomes) == {*KINDS, *SLOW_KINDS}, "every kind has its turn"
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]


def test_the_pool_notices_what_it_is_there_for(tmp_path: Path) -> None:
    """A worker that dies is a crash, and what it reads elsewhere is noted."""
    base = write_tiny_bundle(tmp_path / "base")
    summary = Summary("0")
    summary.add("untouched", "answers", 1, {"outcome": "answers", "same": True, "noted": ["open '/etc/passwd'"]})
    summary.add("untouched", "answers", 2, {"outcome": "answers", "same": False, "noted": []})
    summary.add("words", "refused", 3, {"outcome": "answers", "same": True, "noted": []})
    assert [fault["outcome"] for fault in summary.faults] == ["outside", "other answers", "answers"]
    worker = Worker(base)
    assert worker.load(base, {})["outcome"] == "answers"
    worker.process.kill()
    worker.process.wait()
    assert worker.load(base, {})["outcome"] == "crash"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here")
def test_the_system_calls_of_a_load_stay_in_the_folder(tmp_path: Path) -> None:
    """What native code opens, the audit hook does not hear of."""
    if subprocess.run(["strace", "-f", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace is not allowed here")
    base = write_tiny_bundle(tmp_path / "base")
    log = tmp_path / "calls"
    worker = Worker(base, ["strace", "-f", "-o", str(log), "-e", "trace=%file,%network,execve,fork,vfork"])
    started = len(log.read_text(errors="replace").splitlines())
    for number in range(60):
        place = tmp_path / f"case{number}"
        folder = Path(shutil.copytree(base, place / "bundle"))
        _, _, kind, random = choose("strace", number)
        options = kind(folder, random)
        if not options.get("allow_links"):
            options.pop("expect", None)
            worker.load(folder, options)
    worker.end()
    calls = log.read_text(errors="replace").splitlines()[started:]
    assert len(calls) > 500
    above = [f'"{folder}"' for folder in tmp_path.parents]
    named = [call for call in calls if re.search(r'"[^"]+"|connect\(|socket\(', call)]
    assert [call for call in named if not any(place in call for place in (str(tmp_path), *MACHINE, *above))] == []
