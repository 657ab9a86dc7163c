"""Prediction on a Ray cluster gives the bytes of a plain run, whatever is killed on the way. All share one cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.hostile_bundles.tiny import write_tiny_bundle
from tests.project import BIN

pytest.importorskip("ray")
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}

from ray.cluster_utils import Cluster

from fpplm.prediction import parts
from fpplm.prediction.cluster import Options, tag_on_cluster
from fpplm_core.errors import DataError, FpplmError, ParamsError

# Kills itself once a part is finished, as a machine that fails does.
KILLED = """
import os, signal, sys
from fpplm.prediction import parts
from fpplm.prediction.cluster import Options, tag_on_cluster
parts.ROWS = 40
address, folder, source, bundle, digest = sys.argv[1:]
options = Options(bundle, "cpu", "auto", digest, False, 1, False)
for number, _ in enumerate(tag_on_cluster(address, [source], folder, options, resume=False), start=1):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "bundle", label_lm=None)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("source") / "in.txt"
    file.write_text("".join(f"The number {n} of Paris , and Ann .\n" for n in range(400)))
    return file


@pytest.fixture(scope="module")
def whole(bundle: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("whole") / "out.jsonl"
    subprocess.run([BIN / "fpplm", "predict", bundle, source, "-o", out], check=True, cwd=out.parent)
    assert b'"label"' in out.read_bytes()
    return out.read_bytes()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 40)


def options(bundle: Path, skip: bool = False) -> Options:
    return Options.of(bundle, "cpu", "auto", None, False, 1, skip)


def joined(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.glob("part-*")))


def test_an_actor_that_is_killed_is_replaced_and_no_text_is_lost_or_doubled(cluster, bundle, source, whole, tmp_path):
    killed = number = 0
    tagged = tag_on_cluster(cluster.address, [str(source)], str(tmp_path / "out"), options(bundle), resume=False)
    for number, _ in enumerate(tagged, start=1):
        if number == 2:
            actors = [
                p for p in psutil.Process().children(recursive=True) if "PartTagger" in p.name() + " ".join(p.cmdline())
            ]
            killed = len(actors)
            for actor in actors:
                actor.kill()
    assert killed and number == 10
    assert joined(tmp_path / "out") == whole


def test_a_driver_that_is_killed_is_resumed(cluster, bundle, source, whole, tmp_path):
    out = tmp_path / "out"
    given = options(bundle)
    arguments = [cluster.address, str(out), str(source), given.bundle, given.digest]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    before = {file.name: file.stat().st_mtime_ns for file in out.glob("part-*.jsonl")}
    assert 2 <= len(before) < 10
    with pytest.raises(ParamsError, match="holds a tagging; name another folder, or continue it with --resume"):
        list(tag_on_cluster(cluster.address, [str(source)], str(out), given, resume=False))
    other = given._replace(variant="fp32")
    with pytest.raises(ParamsError, match="holds a tagging of other inputs, got variant"):
        list(tag_on_cluster(cluster.address, [str(source)], str(out), other, resume=True))
    assert len(list(tag_on_cluster(cluster.address, [str(source)], str(out), given, resume=True))) <= 10 - len(before)
    assert all((out / name).stat().st_mtime_ns == time for name, time in before.items())
    assert joined(out) == whole


def test_a_node_that_joins_is_used_and_an_error_names_its_line(cluster, bundle, source, whole, tmp_path):
    rows = [json.loads(line) for line in whole.splitlines()]
    table = pa.table({"id": range(len(rows)), "text": [row["text"] for row in rows]})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=50)
    joins = cluster.add_node(num_cpus=1)
    steps = list(
        tag_on_cluster(cluster.address, [str(tmp_path / "in.parquet")], str(tmp_path / "out"), options(bundle), False)
    )
    assert len(steps) == 8
    broken = tmp_path / "broken.txt"
    broken.write_bytes(source.read_bytes() + b"\xff\n")
    with pytest.raises(DataError, match=f"^{broken}:401: not valid"):
        list(tag_on_cluster(cluster.address, [str(broken)], str(tmp_path / "stopped"), options(bundle), False))
    cluster.remove_node(joins)
    found = pq.read_table(tmp_path / "out")
    assert found.column_names == ["id", "text", "entities"] and found["id"].to_pylist() == list(range(400))
    assert found["entities"].to_pylist() == [row["entities"] for row in rows]


def test_a_machine_without_the_bundle_is_an_error_in_one_line(cluster, bundle, source, tmp_path):
    nowhere = options(bundle)._replace(bundle="/nowhere")
    with pytest.raises(FpplmError, match=r"a process of the cluster failed, got .*/nowhere") as caught:
        list(tag_on_cluster(cluster.address, [str(source)], str(tmp_path / "out"), nowhere, resume=False))
    assert "\n" not in str(caught.value)


def test_no_cluster_is_an_error_in_one_line(bundle, source, tmp_path):
    with pytest.raises(FpplmError, match="no Ray cluster"):
        list(tag_on_cluster("127.0.0.1:1", [str(source)], str(tmp_path / "out"), options(bundle), resume=False))
