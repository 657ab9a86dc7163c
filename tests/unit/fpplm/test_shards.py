"""The outputs of all shards, joined in order, are the bytes of a single run; each goes on where it was cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm.prediction.inputs import accepted, read, reading_options
from fpplm.prediction.outputs import tag_texts
from fpplm.prediction.shards import Shard, count_chunks, parse_shard, texts_of_shard
from fpplm_core.data.notes import Notes
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.serving import entities
from fpplm_core.serving.entities import SegmentedText
from tests.unit.fpplm.stub import Stub

LINES = [f"né{n} x" if n % 4 else "" for n in range(11)]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entities, "CHUNK", 3)


def run(source: Path, out: Path, shard: Shard | None, resume: bool = False, skip: bool = False) -> None:
    stub: Any = Stub("X")
    options = reading_options(stub.word_ranges, notes=Notes())
    texts = accepted(read(str(source), "text", options), skip)
    if shard:
        texts = texts_of_shard(texts, shard, count_chunks(read(str(source), "text", options), skip))
    sum(tag_texts(stub, texts, str(out), "jsonl", resume))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "in.txt"
    file.write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    return file


@pytest.mark.parametrize("total", [1, 2, 3, 4, 7])  # of 4 chunks
def test_joined_outputs_are_those_of_one_run(tmp_path: Path, source: Path, total: int) -> None:
    run(source, tmp_path / "whole", None)
    joined = b""
    for number in range(1, total + 1):
        run(source, tmp_path / f"{number}", Shard(number, total))
        joined += (tmp_path / f"{number}").read_bytes()
    assert joined == (tmp_path / "whole").read_bytes()


def test_a_shard_that_was_cut_goes_on_to_the_same_bytes(tmp_path: Path, source: Path) -> None:
    run(source, out := tmp_path / "out", Shard(2, 2))
    whole = out.read_bytes()
    for cut in range(len(whole) + 1):
        out.write_bytes(whole[:cut])
        run(source, out, Shard(2, 2), resume=True)
        assert out.read_bytes() == whole, cut


def test_a_shard_does_not_go_on_with_the_output_of_another(tmp_path: Path, source: Path) -> None:
    run(source, out := tmp_path / "out", Shard(1, 2))
    with pytest.raises(DataError, match="cannot go on with this output"):
        run(source, out, Shard(2, 2), resume=True)


def test_lines_that_are_skipped_belong_to_no_shard(tmp_path: Path, source: Path) -> None:
    source.write_text("a\nb\nc\0\nd\ne\nf\ng\n", encoding="utf-8")
    run(source, tmp_path / "whole", None, skip=True)
    for number in (1, 2):
        run(source, tmp_path / f"{number}", Shard(number, 2), skip=True)
    joined = (tmp_path / "1").read_bytes() + (tmp_path / "2").read_bytes()
    assert joined == (tmp_path / "whole").read_bytes() and joined.count(b"\n") == 6


def test_without_skipping_every_shard_fails_at_a_bad_line(tmp_path: Path, source: Path) -> None:
    source.write_text("a\nb\nc\nd\0\n", encoding="utf-8")
    for number in (1, 2):
        with pytest.raises(DataError, match=r"in\.txt:4: a zero byte"):
            run(source, tmp_path / "out", Shard(number, 2))
    assert not (tmp_path / "out").exists()


@given(st.integers(0, 40), st.integers(1, 50))
def test_every_text_is_in_one_shard(texts: int, total: int) -> None:
    all_texts = [SegmentedText(str(number), []) for number in range(texts)]
    chunks = count_chunks([("", text) for text in all_texts], skip=False)
    shards = [list(texts_of_shard(all_texts, Shard(number, total), chunks)) for number in range(1, total + 1)]
    assert [text for shard in shards for text in shard] == all_texts


@pytest.mark.parametrize(
    "given", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", " 1/2", "1/2\n", "a/b", "²/3", "1e0/2"]
)
def test_what_is_no_shard_is_refused(given: str) -> None:
    with pytest.raises(ParamsError, match="--shard: not a shard"):
        parse_shard(given)
    assert parse_shard("2/3") == (2, 3)
