"""Whole files tagged into a folder: one output each, whole or not at all, and left out where it is newer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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


def test_an_output_is_current_while_it_is_newer_than_all_that_it_is_made_of(tmp_path: Path) -> None:
    source, bundle, target = (tmp_path / name for name in ("source", "bundle", "target"))
    for second, path in enumerate((source, bundle, target)):
        path.touch()
        os.utime(path, (second, second))
    assert is_current(target, [source, bundle])
    os.utime(bundle, (9, 9))
    assert not is_current(target, [source, bundle]) and is_current(target, [source])
    target.unlink()
    assert not is_current(target, [source])


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
