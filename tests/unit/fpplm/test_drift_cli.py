"""`fpplm predict --sketch` counts what it tags, and `fpplm drift` says whether this has drifted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fpplm.cli.main import app
from fpplm_core.errors import CheckFailed, DataError, FpplmError, ParamsError
from fpplm_core.serving.sketch import read_sketch
from tests import drifting

VERSION = "tagger@v1.0.0"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drifting.write_bundle(tmp_path_factory.mktemp("drift") / "bundle")


def run(*arguments: object) -> str:
    """What a command prints. Raises the error that ends it."""
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    if done.exception:
        raise done.exception
    return done.stdout


def predict(bundle: Path, folder: Path, name: str, lines: list[str], *options: object) -> Path:
    texts, sketch = folder / f"{name}.txt", folder / f"{name}.json"
    texts.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    run("predict", bundle, texts, "-o", folder / "out.jsonl", "--device", "cpu", "--sketch", sketch, *options)
    return sketch


def test_the_same_texts_are_no_drift_others_are(bundle: Path, tmp_path: Path) -> None:
    same = predict(bundle, tmp_path, "same", drifting.lines(300, 4))
    assert "drifted" not in run("drift", same, "--bundle", bundle)
    other = predict(bundle, tmp_path, "other", drifting.lines(300, 4, 1.0))
    with pytest.raises(CheckFailed, match=r"drifted from the training data, got types, .*shapes") as caught:
        run("drift", other, "--bundle", bundle)
    assert caught.value.exit_code == 10


def test_a_version_is_named_as_in_other_commands(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sketch = predict(bundle, tmp_path, "texts", drifting.lines(300, 4))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="v1: no such folder, and no project here that has versions"):
        run("drift", sketch, "--bundle", "v1")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    for command in (
        ["init", "--quiet"],
        ["commit", "--quiet", "--allow-empty", "-m", "x"],
        ["tag", "-m", "x", VERSION],
    ):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], check=True)
    monkeypatch.setattr("fpplm.registry.versions.bundle_of", lambda version: {"v1.0.0": bundle}[version])
    assert run("drift", sketch, "--bundle", "v1") == run("drift", sketch, "--bundle", bundle)
    with pytest.raises(DataError, match="no version is in production"):
        run("drift", sketch, "--bundle", "production")


def test_shards_add_up_to_the_whole(bundle: Path, tmp_path: Path) -> None:
    lines = drifting.lines(2500, 5)
    whole = predict(bundle, tmp_path, "whole", lines)
    parts = [predict(bundle, tmp_path, f"part{n}", lines, "--shard", f"{n}/2") for n in (1, 2)]
    sketches = [read_sketch(path) for path in parts]
    assert min(sketch.texts for sketch in sketches) > 0
    assert (sketches[0] + sketches[1]).as_text() == read_sketch(whole).as_text()
    assert run("drift", *parts, "--bundle", bundle) == run("drift", whole, "--bundle", bundle)


def test_it_counts_what_is_written_and_no_more(bundle: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "London"}\n{"text": 7}\n{"text": "Paris"}\n', encoding="utf-8")
    command = ("predict", bundle, texts, "-o", tmp_path / "out", "--device", "cpu", "--sketch", tmp_path / "s.json")
    with pytest.raises(DataError):
        run(*command)
    assert read_sketch(tmp_path / "s.json").texts == 1, "the text before the line that is none"
    run(*command, "--on-error", "skip")
    sketch = read_sketch(tmp_path / "s.json")
    assert sketch.texts == 2 and sketch.counts["types"].sum(axis=0).tolist() == [2, 0]
    assert sketch.bundle == json.loads((bundle / "manifest.json").read_text())["digest"]


def test_predictions_are_the_same_with_a_sketch(bundle: Path, tmp_path: Path) -> None:
    predict(bundle, tmp_path, "texts", drifting.lines(50, 6))
    counted = (tmp_path / "out.jsonl").read_bytes()
    run("predict", bundle, tmp_path / "texts.txt", "-o", tmp_path / "out.jsonl", "--device", "cpu")
    assert (tmp_path / "out.jsonl").read_bytes() == counted


@pytest.mark.parametrize("option", ["--resume", "--explain"])
def test_what_would_leave_texts_out_is_refused(bundle: Path, tmp_path: Path, option: str) -> None:
    with pytest.raises(ParamsError, match="would not count all texts"):
        predict(bundle, tmp_path, "texts", ["London"], option)


def test_too_few_texts_and_other_bundles_are_refused(bundle: Path, tmp_path: Path) -> None:
    few = predict(bundle, tmp_path, "few", ["London"])
    with pytest.raises(DataError, match="too few texts in the sketch, got 1"):
        run("drift", few, "--bundle", bundle)
    (tmp_path / "other").mkdir()
    other = drifting.write_bundle(tmp_path / "other/bundle")
    (other / "README.md").write_text("Another one.\n")
    from fpplm_core.export.bundle_writer import seal

    seal(other, {"scores": {}})
    with pytest.raises(FpplmError, match="of another bundle"):
        run("drift", few, "--bundle", other)
    with pytest.raises(DataError, match=r"nowhere\.json"):
        run("drift", tmp_path / "nowhere.json", "--bundle", bundle)
