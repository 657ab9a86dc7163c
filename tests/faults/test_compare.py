"""A new bundle against the one in production: the same one, one that decodes badly, and one that is not whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpplm.promotion.comparison import EXAMPLES, compare
from fpplm_core.data.corpus import write_corpus
from fpplm_core.errors import BundleError
from fpplm_core.params import Params, load
from tests.project import Project, altered_bundle


@pytest.fixture
def place(trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the trained project's bundle, and as test split what it was trained on.

    In the true one it finds too little to be able to lose it.
    """
    shutil.copytree(trained.path / "bundle", tmp_path / "bundle")
    (tmp_path / "build/corpus").mkdir(parents=True)
    shutil.copyfile(trained.path / "build/corpus/train.parquet", tmp_path / "build/corpus/test.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def settings(trained: Project) -> Params:
    """Without a rule for speed: what is measured here depends on what else the machine does."""
    values = load(trained.path / "params.yaml")
    return values.model_copy(update={"promotion": values.promotion.model_copy(update={"min_speed": 0.0})})


def altered(place: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    return altered_bundle(place / "bundle", place / "altered", change)


def only_outside(config: dict[str, Any]) -> None:
    """Transitions that make every word O."""
    for row in config["transitions"]:
        row[0] += 1000.0


def test_a_bundle_against_itself_is_promoted(place: Path, settings: Params) -> None:
    found = compare(place / "bundle", place / "bundle", settings)
    assert found.verdict == "promote"
    assert found.difference == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert found.f1["candidate"] > 0
    assert found.examples == []
    assert min(found.words_per_s.values()) > 0


def test_a_bundle_that_finds_nothing_is_rejected_and_the_other_way_round_promoted(
    place: Path, settings: Params
) -> None:
    worse = altered(place, only_outside)
    found, back = compare(worse, place / "bundle", settings), compare(place / "bundle", worse, settings)
    before = found.f1["incumbent"]
    assert found.verdict == "reject" and found.f1["candidate"] == 0
    assert found.difference["mean"] == -before == -back.difference["mean"]
    assert f"F1 0.0000, before {before:.4f}: -{before:.4f}" in found.reasons[0]
    assert back.verdict == "promote"
    assert 0 < len(found.examples) <= EXAMPLES
    for example in found.examples:
        assert example.before and not example.after
        assert all(0 <= start < end <= len(example.words) for start, end, _ in example.before)


def test_a_bundle_that_knows_a_type_no_more_is_rejected(place: Path, settings: Params) -> None:
    def rename(config: dict[str, Any]) -> None:
        config["labels"] = [label.replace("-PER", "-HUMAN") for label in config["labels"]]

    found = compare(altered(place, rename), place / "bundle", settings)
    assert found.verdict == "reject"
    assert "1 type(s) of the test split are no longer known: PER" in found.reasons


def test_an_empty_test_split_holds(place: Path, settings: Params) -> None:
    write_corpus(place / "build/corpus/test.parquet", [])
    found = compare(place / "bundle", place / "bundle", settings)
    assert found.verdict == "hold" and "nothing to compare" in found.reasons[0]


@pytest.mark.parametrize("candidate", ["bundle", "damaged"])
def test_a_damaged_bundle_is_an_error_that_names_the_file(place: Path, settings: Params, candidate: str) -> None:
    damaged = Path(shutil.copytree(place / "bundle", place / "damaged"))
    graph = damaged / "onnx/model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    other = {"bundle": "damaged", "damaged": "bundle"}[candidate]
    with pytest.raises(BundleError, match=r"damaged/onnx/model\.onnx"):
        compare(place / candidate, place / other, settings)
