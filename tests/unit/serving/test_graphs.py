"""Graphs from anywhere: what they must take and give, and that each ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from fpplm_core.errors import BundleError
from fpplm_core.serving import Predictor, deadline, onnx_session, open_bundle
from fpplm_core.serving.deadline import Watchdog
from fpplm_core.serving.graphs import batch_pieces
from tests.conftest import ROOT
from tests.hostile_bundles import graphs
from tests.hostile_bundles.tiny import reseal, save_tagger, table, write_tiny_bundle


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("whole") / "bundle")


@pytest.fixture
def graph(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "bundle")) / "onnx/model.onnx"


def answer(graph: Path) -> str:
    """What comes of a bundle with this graph, sealed anew: the line of its error, or "answers"."""
    reseal(graph.parents[1])
    try:
        predictor = Predictor.load(graph.parents[1], "cpu")
        predictor.explain(["London", "x"])
        predictor.tag([["London", "x"]] * 8)
    except BundleError as error:
        assert str(error).isprintable() and len(str(error)) < 1000
        return str(error)
    return "answers"


def names_and_types(graph: Path) -> list[tuple[str, int]]:
    """Of the inputs and outputs that a graph declares."""
    declared = onnx.load(graph).graph
    return [(port.name, port.type.tensor_type.elem_type) for port in (*declared.input, *declared.output)]


@pytest.mark.parametrize(("variant", "alone"), [("int8", True), ("mixed", True), ("fp32", False)])
def test_8_bit_graphs_of_format_1_run_window_by_window(whole, variant: str, alone: bool):
    bundle = open_bundle(whole)
    earlier = replace(bundle, manifest={**bundle.manifest, "format": 1})
    assert (batch_pieces(earlier, "cpu", variant) == 1) == alone
    assert batch_pieces(bundle, "cpu", variant) > 1


def test_a_graph_that_never_ends_is_ended(graph, monkeypatch):
    monkeypatch.setattr(onnx_session, "DEADLINE", 1.0)
    monkeypatch.setattr(deadline, "TICK", 0.1)
    graphs.never_ends(graph, Random(0))
    began = time.monotonic()
    assert "no end within 1 s" in answer(graph)
    assert time.monotonic() - began < 20
    save_tagger(graph)
    assert answer(graph) == "answers"


def test_the_watchdog_leaves_alone_what_ends_in_time(monkeypatch):
    monkeypatch.setattr(deadline, "TICK", 0.02)
    watchdog, ended = Watchdog(), list[str]()
    with watchdog.limit(60, lambda: ended.append("long")):
        with watchdog.limit(0.1, lambda: ended.append("short")):
            time.sleep(0.5)
        for _ in range(100):
            with watchdog.limit(0.1, lambda: ended.append("none")):
                pass
        time.sleep(0.3)
    assert set(ended) == {"short"} and not watchdog.running


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "spoil", [graphs.external, graphs.strange_sizes, graphs.not_onnx, graphs.cut, graphs.calls_itself]
)
def test_a_spoilt_graph_is_refused_in_one_line(graph, spoil, seed):
    spoil(graph, Random(seed))
    assert "ONNX Runtime cannot run the graph" in answer(graph)


def test_external_data_is_not_read_wherever_it_is(graph, monkeypatch):
    """Opened by its path, ONNX Runtime reads a hard link to anything; from bytes, files of the current directory."""
    monkeypatch.chdir(graph.parent.parent)
    for seed in range(60):
        graphs.external(graph, Random(seed))
        raw = graph.read_bytes()
        assert b"location" in raw
        with pytest.raises(BundleError, match="ONNX Runtime cannot run the graph"):
            onnx_session.open_session(raw, "cpu")


def test_wrong_ports_are_refused_and_named(graph):
    lines, right = set(), names_and_types(graph)
    for seed in range(60):
        graphs.wrong_port(graph, Random(seed))
        line = answer(graph)
        # Where ONNX Runtime infers sizes to be the right ones, it does not matter which the graph declares.
        assert "the graph" in line or (line == "answers" and names_and_types(graph) == right), seed
        lines.add(line.partition("onnx: ")[2])
    for said in (
        "must take input_ids, attention_mask, got ['attention_mask', 'input_ids', 'more']",
        "`tag_logits` must be tensor(float) (batch",
    ):
        assert any(said in line for line in lines), lines


@pytest.mark.parametrize("seed", range(12))
def test_a_graph_that_gives_other_sizes_than_it_says_is_refused(graph, seed):
    graphs.lying_sizes(graph, Random(seed))
    assert "`tag_logits` must be" in answer(graph)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(graph, value):
    spoilt = table()
    spoilt[-8:, 2] = value  # among them the pieces of London
    save_tagger(graph, table=spoilt)
    assert "numbers that are not finite" in answer(graph)


def test_an_id_that_the_graph_lacks_is_the_bundles_fault(graph):
    save_tagger(graph, table=table()[:-10])
    assert "indices element out of data bounds" in answer(graph)


def test_serving_reports_to_nobody(whole, tmp_path):
    """ONNX Runtime 1.29 and later keeps a device id and a queue of events in the user's cache."""
    code = (
        f"from fpplm_core.serving import Predictor; print(len(Predictor.load({str(whole)!r}, 'cpu').predict('London')))"
    )
    unset = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "CI")
    own = {name: value for name, value in os.environ.items() if name not in unset} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=own, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n" and not list(tmp_path.rglob("*"))


def test_a_name_that_is_no_text_is_refused(graph):
    graph.write_bytes(graph.read_bytes().replace(b"attention_mask", b"attention_\xe1ask"))
    assert "a name in the graph is no text" in answer(graph)


def test_a_session_does_not_keep_the_bytes_of_its_graph(graph):
    session = onnx_session.open_session(graph.read_bytes(), "cpu")
    assert isinstance(session.session, ort.InferenceSession) and session.session._model_bytes is None
