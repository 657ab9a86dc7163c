"""What `fpplm predict` does with its options before and while it tags."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fpplm.cli.main import app
from fpplm.pipeline.failures import as_fpplm_error
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.serving import Predictor
from tests.hostile_bundles.tiny import write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("predict") / "bundle", label_lm=None)


def run(*arguments: object) -> None:
    """Runs a command. Raises the error that ends it."""
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    if done.exception:
        raise done.exception


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize(("options", "threads"), [([], None), (["--threads", 1], 1), (["--threads", 3], 3)])
def test_threads_are_those_of_the_predictor(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, options: list[Any], threads: int | None
) -> None:
    made, load = [], Predictor.load

    def remember(*args: Any, **kwargs: Any) -> Predictor:
        made.append(load(*args, **kwargs))
        return made[0]

    monkeypatch.setattr(Predictor, "load", remember)
    (tmp_path / "in.conll").write_text("London\tB-LOC\n\n")
    output = ["-o", tmp_path / "out"] if command == "predict" else []
    run(command, bundle, tmp_path / "in.conll", "--device", "cpu", *output, *options)
    assert made[0].threads == threads


def test_a_sketch_never_replaces_the_output_or_an_input(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("London\n")
    for sketch, said in (("out", "two outputs in one file"), ("in.txt", "the output is an input")):
        with pytest.raises(DataError, match=said):
            run("predict", bundle, tmp_path / "in.txt", "-o", tmp_path / "out", "--sketch", tmp_path / sketch)
    assert not (tmp_path / "out").exists() and (tmp_path / "in.txt").read_text() == "London\n"


def test_a_shard_of_what_is_read_only_once_is_refused(bundle: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("-", tmp_path / "pipe"):  # which would wait for a writer
        with pytest.raises(ParamsError, match="--shard: an input that cannot be read twice"):
            run("predict", bundle, name, "-o", tmp_path / "out", "--shard", "1/2")


def test_a_pipe_is_read_as_the_file_is(bundle: Path, tmp_path: Path) -> None:
    """A bad sentence makes the reader begin anew."""
    source, pipe = tmp_path / "in.conll", tmp_path / "pipe.conll"
    source.write_text("London\tO\n\nParis O\n\nParis\tO\n\n")
    run("predict", bundle, source, "-o", tmp_path / "of_file", "--format", "conll", "--on-error", "skip")
    os.mkfifo(pipe)
    with pytest.raises(ParamsError, match="the format of a pipe cannot be detected; name it with --format"):
        run("predict", bundle, pipe, "-o", tmp_path / "out")
    writer = threading.Thread(target=pipe.write_bytes, args=[source.read_bytes()], daemon=True)
    writer.start()
    run("predict", bundle, pipe, "-o", tmp_path / "out", "--format", "conll", "--on-error", "skip")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "of_file").read_bytes() != b""


@pytest.mark.parametrize("target", ["in.txt/x", "loop/x", "loop", "dangling/x", "dangling", "x" * 300, "/proc/x"])
@pytest.mark.parametrize("option", ["predict -o", "predict -o out --sketch", "queue --to jsonl --out", "bundle export"])
def test_an_output_that_cannot_be_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text("London\n")
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("nowhere/deep")
    command, *options = option.split()
    given = {"predict": [bundle, "in.txt"], "queue": ["in.txt", "--bundle", bundle], "bundle": []}[command]
    arguments = [*given, *options, *([bundle] if command == "bundle" else []), target]
    if "--sketch" in options and target == "dangling":
        run(command, *arguments)
        assert Path("dangling").is_file(), "it replaces the link, as any output that is written whole"
        return
    with pytest.raises(Exception, match=r".") as caught:
        run(command, *arguments)
    assert isinstance(as_fpplm_error(caught.value), DataError) and Path("loop").is_symlink()
