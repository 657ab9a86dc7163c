"""An interrupted output goes on to the same bytes wherever it was cut, and only with its own inputs and bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from fpplm.prediction.inputs import accepted, read, reading_options
from fpplm.prediction.outputs import tag_texts
from fpplm.prediction.records import Kind
from fpplm_core.data.notes import Notes
from fpplm_core.errors import DataError
from fpplm_core.serving import entities
from tests.unit.fpplm.stub import Stub

KINDS = get_args(Kind)
LINES = [f"né{n} x" if n % 4 else "" for n in range(11)]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entities, "CHUNK", 3)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Stub]:
    def run(kind: Kind, lines: list[str] = LINES, resume: bool = False, bundle: str = "X", skip: bool = False) -> Stub:
        source, stub, notes = tmp_path / "in.txt", Stub(bundle), Notes()
        source.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8"))
        found = read(str(source), "text", reading_options(stub.word_ranges, notes=notes))
        predictor: Any = stub
        sum(tag_texts(predictor, accepted(found, skip), str(tmp_path / "out"), kind, resume))
        return stub

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_cut_anywhere_goes_on_to_the_same_bytes(
    tmp_path: Path, run: Callable[..., Stub], kind: Kind
) -> None:
    out = tmp_path / "out"
    run(kind)
    whole = out.read_bytes()
    tagged = set()
    for cut in range(len(whole) + 1):
        out.write_bytes(whole[:cut])
        tagged.add(run(kind, resume=True).tagged)
        assert out.read_bytes() == whole, cut
    # Whole chunks are kept, of which the last is tagged again: 11 texts, then 11, 8, 5, and only the last 2.
    assert tagged == {11, 8, 5, 2}


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_stopped_at_a_bad_line_goes_on_once_it_is_corrected(
    tmp_path: Path, run: Callable[..., Stub], kind: Kind
) -> None:
    out = tmp_path / "out"
    run(kind, ["a", "b", "c", "d", "e", "f"])
    whole = out.read_bytes()
    with pytest.raises(DataError, match=r"in\.txt:5: a zero byte"):
        run(kind, ["a", "b", "c", "d", "e\0", "f"])
    assert out.read_bytes().count(b"X") == 4  # all before the bad line, and the last of them without its neighbours
    run(kind, ["a", "b", "c", "d", "e", "f"], resume=True)
    assert out.read_bytes() == whole


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lines": [*LINES[:2], "another", *LINES[3:]]}, "text 3: .*another"),
        ({"lines": LINES[:4]}, "text 5: .*more texts than the input, which has 4"),
        ({"bundle": "Y"}, "text [78]: .*other entities"),
    ],
)
def test_an_output_of_other_inputs_or_another_bundle_is_refused_and_kept(
    tmp_path: Path, run: Callable[..., Stub], kind: Kind, changed: dict[str, Any], message: str
) -> None:
    out = tmp_path / "out"
    run(kind)
    out.write_bytes(out.read_bytes()[:-2])
    before = out.read_bytes()
    with pytest.raises(DataError, match=message):
        run(kind, resume=True, **changed)
    assert out.read_bytes() == before


@pytest.mark.parametrize("garbage", [b"[1]\n", b'{"text": 1}\n', b"\xff\n", b"\n", b"{" * 5000 + b"\n"])
def test_what_is_no_output_is_refused(tmp_path: Path, run: Callable[..., Stub], garbage: bytes) -> None:
    (tmp_path / "out").write_bytes(garbage)
    with pytest.raises(DataError, match="text 1: cannot go on"):
        run("jsonl", ["a"], resume=True)
    assert (tmp_path / "out").read_bytes() == garbage


@pytest.mark.parametrize(("written", "wanted"), [("jsonl", "conll"), ("conll", "jsonl")])
@pytest.mark.parametrize("cut", [None, 5])
def test_an_output_of_another_kind_is_refused_and_kept(
    tmp_path: Path, run: Callable[..., Stub], written: Kind, wanted: Kind, cut: int | None
) -> None:
    run(written, ["Ann slept", "Bob"])
    before = (tmp_path / "out").read_bytes()[:cut]
    (tmp_path / "out").write_bytes(before)
    with pytest.raises(DataError, match="text 1: cannot go on"):
        run(wanted, ["Ann slept", "Bob"], resume=True)
    assert (tmp_path / "out").read_bytes() == before


@pytest.mark.parametrize("entities", ["", ', "entities": 5', ', "entities": [3]'])
def test_a_record_of_another_program_is_refused(tmp_path: Path, run: Callable[..., Stub], entities: str) -> None:
    (tmp_path / "out").write_text("".join(f'{{"text": "{text}"{entities}}}\n' for text in "abc"))
    with pytest.raises(DataError, match="text 1: cannot go on"):
        run("jsonl", ["a", "b", "c"], resume=True)


@pytest.mark.parametrize("before", [None, b""])
def test_nothing_to_go_on_from_is_a_beginning(tmp_path: Path, run: Callable[..., Stub], before: bytes | None) -> None:
    if before is not None:
        (tmp_path / "out").write_bytes(before)
    run("jsonl", ["a", "b"], resume=True)
    assert [json.loads(line)["text"] for line in (tmp_path / "out").read_text().splitlines()] == ["a", "b"]


def test_scores_of_another_machine_do_not_count(tmp_path: Path, run: Callable[..., Stub]) -> None:
    out = tmp_path / "out"
    run("jsonl")
    rows = out.read_text().replace("0.0", "0.1")
    out.write_text(rows[:-3])
    run("jsonl", resume=True)
    assert out.read_text().startswith(rows[:300])
