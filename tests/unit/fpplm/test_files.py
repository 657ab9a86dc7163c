"""Whole files tagged into a folder: one output each, whole or not at all, and left out where it is newer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fpplm.prediction import files
from fpplm.prediction.files import is_current, tag_file, targets_of
from fpplm.prediction.records import Kind
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.serving import entities
from tests.unit.fpplm.stub import Stub


@pytest.mark.parametrize("kind", ["jsonl", "conll"])
def test_an_output_is_whole_or_not_there(tmp_path: Path, kind: Kind) -> None:
    source, target = tmp_path / "in.conll", tmp_path / "new/folder/out"
    source.write_text("Ann\tO\nslept\tO\n\n" * 3)
    assert tag_file(Stub(), source, target, kind) == 6  # type: ignore[arg-type]
    assert target.read_text().count("X3") == 3
    before = target.read_bytes()
    source.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DataError):
        tag_file(Stub(), source, target, kind)  # type: ignore[arg-type]
    assert target.read_bytes() == before


def test_outputs_have_names_of_their_own(tmp_path: Path) -> None:
    sources = [Path("a/one.txt"), Path("b/two.txt")]
    assert targets_of(sources, tmp_path, "jsonl") == [tmp_path / "one.txt.jsonl", tmp_path / "two.txt.jsonl"]
    with pytest.raises(ParamsError, match=r"one\.txt"):
        targets_of([*sources, Path("c/one.txt")], tmp_path, "jsonl")


def test_no_output_replaces_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x.jsonl", "x.jsonl.partial", ".x.jsonl.json"):
        with pytest.raises(ParamsError, match=rf"{name}: an output would replace an input"):
            targets_of([Path("x"), Path(name)], tmp_path, "jsonl")
    assert targets_of([Path("x"), Path("x.jsonl")], tmp_path, "conll") == [
        tmp_path / "x.conll",
        tmp_path / "x.jsonl.conll",
    ]


def test_an_output_is_current_while_file_bundle_and_variant_are_those_that_made_it(tmp_path: Path) -> None:
    source, target, stub, other = tmp_path / "in.txt", tmp_path / "out", Stub("A"), Stub("A")
    source.write_text("Ann\n")
    assert not current(stub, source, target)
    tag_file(stub, source, target, "jsonl")  # type: ignore[arg-type]
    assert current(stub, source, target)
    assert not current(Stub("B"), source, target)
    other.variant = "int8"
    assert not current(other, source, target)
    source.write_text("Bob\n")
    os.utime(source, (1, 1))  # such as mv of an older file
    assert not current(stub, source, target)
    source.write_text("Ann\n")
    assert current(stub, source, target)
    target.unlink()
    assert not current(stub, source, target)


def test_an_output_that_was_replaced_without_a_record_is_not_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out"
    source.write_text("Ann\n")
    tag_file(Stub("A"), source, target, "jsonl")  # type: ignore[arg-type]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "write_json", interrupt)
        tag_file(Stub("B"), source, target, "jsonl")  # type: ignore[arg-type]
    assert not current(Stub("A"), source, target) and not current(Stub("B"), source, target)


def test_a_folder_is_a_source_and_what_is_neither_is_none(tmp_path: Path) -> None:
    corpus, target, pipe = tmp_path / "corpus", tmp_path / "out", tmp_path / "pipe"
    corpus.mkdir()
    (corpus / "a.txt").write_text("Ann slept")
    (corpus / "a.ann").write_text("T1\tPER 0 3\tAnn\n")
    tag_file(Stub(), corpus, target, "jsonl")  # type: ignore[arg-type]
    assert current(Stub(), corpus, target)
    (corpus / "a.txt").write_text("Ann spoke")
    assert not current(Stub(), corpus, target)
    os.mkfifo(pipe)
    for name, said in ((pipe, "not a regular file"), (tmp_path / "none", "no such file")):
        with pytest.raises(DataError, match=said):
            tag_file(Stub(), name, target, "jsonl")  # type: ignore[arg-type]


def current(stub: Stub, source: Path, target: Path) -> bool:
    return is_current(stub, source, target)  # type: ignore[arg-type]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["jsonl", "conll"])
def test_an_incomplete_output_is_gone_on_with_and_only_if_it_is_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    monkeypatch.setattr(entities, "CHUNK", 3)
    source, target, partial = (tmp_path / name for name in ("in.txt", "out", "out.partial"))
    source.write_text("".join(f"Ann {number}\n" for number in range(8)))
    tag_file(Stub(), source, target, kind)  # type: ignore[arg-type]
    whole = target.read_bytes()
    target.unlink()
    partial.write_bytes(whole[: len(whole) // 2])
    resumed, anew = Stub(), Stub()
    assert tag_file(resumed, source, target, kind, resume=True) == 10  # type: ignore[arg-type]
    assert target.read_bytes() == whole and not partial.exists() and resumed.tagged == 8
    partial.write_bytes(whole[: len(whole) // 2].replace(b"Ann", b"Bob"))
    with pytest.raises(DataError, match="cannot go on"):
        tag_file(Stub(), source, target, kind, resume=True)  # type: ignore[arg-type]
    tag_file(anew, source, target, kind)  # type: ignore[arg-type]
    assert target.read_bytes() == whole and anew.tagged == 8
