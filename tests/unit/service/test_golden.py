"""golden.json is input that nobody checked: each fault is one line, and takes no time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fpplm_core.errors import BundleError
from fpplm_core.export.bundle_writer import seal
from fpplm_core.serving import Predictor
from fpplm_core.serving.golden import require_golden


def row(**values: Any) -> bytes:
    return json.dumps([{"words": ["London"], "document": None, "spans": [[0, 1, "LOC"]], **values}]).encode()


def predictor_with(bundle: Path, folder: Path, golden: bytes) -> Predictor:
    shutil.copytree(bundle, folder)
    (folder / "golden.json").write_bytes(golden)
    seal(folder, {"scores": {}})
    return Predictor.load(folder, "cpu", threads=1)


@pytest.mark.parametrize(
    ("golden", "said"),
    [
        (b"", "golden.json: not a JSON file"),
        (b"\xff", "golden.json: not a JSON file"),
        (b"[" * 100_000, "golden.json: not a JSON file"),
        (b"5", "no golden sentences"),
        (b"[5]", "no golden sentences"),
        (b"[{}]", "no golden sentences"),
        (row(words="London"), "does not give the golden spans"),
        (row(words=[5]), "no golden sentences"),
        (row(document=True), "no golden sentences"),
        (row(spans=5), "no golden sentences"),
        (row(spans=[[0, 1]]), "no golden sentences"),
        (row(spans=[[0, True, "LOC"]]), "no golden sentences"),
        (row(spans=[[0, 1, {}]]), "no golden sentences"),
        (row(spans=[[0, 10**4000, "LOC"]]), "does not give the golden spans"),
        (row(spans=[]), "does not give the golden spans"),
        (row() + b" " * (1 << 20), "too large"),
    ],
    ids=range(16),
)
def test_a_wrong_golden_file_is_one_line(bundle, tmp_path, golden, said):
    with pytest.raises(BundleError, match=said) as found:
        require_golden(predictor_with(bundle, tmp_path / "bundle", golden))
    assert "\n" not in str(found.value)


def test_another_graph_may_differ_in_a_boundary_but_not_in_most(bundle, tmp_path):
    words = ["London"] * 20
    some = [[n, n + 1, "LOC"] for n in range(20)]
    near = row(words=words, spans=[*some[:18], [18, 20, "LOC"]])
    predictor = predictor_with(bundle, tmp_path / "near", near)
    with pytest.raises(BundleError, match="18 of 19 spans, and 2 others"):
        require_golden(predictor)
    predictor.variant = "int8"
    require_golden(predictor)
    far = predictor_with(bundle, tmp_path / "far", row(words=words, spans=some[:10]))
    with pytest.raises(BundleError, match="fp32 does not give the golden spans"):
        require_golden(far)
    far.variant = "int8"  # of the open graph
    with pytest.raises(BundleError, match="int8 does not give the golden spans"):
        require_golden(far)


def test_a_bundle_is_golden_without_entities(bundle, tmp_path):
    require_golden(predictor_with(bundle, tmp_path / "none", row(words=["no"], spans=[])))
    require_golden(predictor_with(bundle, tmp_path / "empty", b"[]"))
