"""The outputs of all parts, joined in order, are the bytes of a single run; a Parquet file keeps its columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from pyarrow.fs import FileSelector, FileSystem, LocalFileSystem, copy_files

from fpplm.prediction import parts
from fpplm.prediction.inputs import accepted, read, reading_options
from fpplm.prediction.outputs import tag_texts
from fpplm.prediction.parts import parts_of, tag_part
from fpplm_core.data.notes import Notes
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.serving.entities import SegmentedText, chunks_of
from fpplm_core.tagging.spans import Span
from tests.unit.fpplm.stub import Stub, Tagged


class Alone(Stub):
    """The entities of a text depend on that text alone, as those of graphs that may serve do."""

    def stream(self, texts: Iterable[SegmentedText]) -> Iterator[Tagged]:
        for chunk in chunks_of(texts):
            yield chunk, [[(Span(0, 1, "X"), len(text.text) / 100)] if text.words else [] for text in chunk]


STUB: Any = Alone()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 3)


def in_parts(source: Path, folder: Path, skip: bool = False) -> tuple[bytes, list[str]]:
    folder.mkdir()
    notes: list[str] = []
    for part in parts_of([str(source)]):
        notes += tag_part(STUB, part, str(folder), skip)[1]
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir())), notes


def at_once(source: Path, out: Path, kind: str, skip: bool = False) -> bytes:
    found = read(str(source), kind, reading_options(STUB.word_ranges, notes=Notes()))
    sum(tag_texts(STUB, accepted(found, skip), str(out), "jsonl"))
    return out.read_bytes()


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@given(st.lists(TEXT, max_size=12), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(1, 9))
def test_joined_outputs_of_lines_are_those_of_one_run(tmp_path_factory, lines, end, ended, read_bytes):
    tmp_path = tmp_path_factory.mktemp("lines")
    source = tmp_path / "in.txt"
    source.write_bytes((end.join(lines) + (end if ended else "")).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "READ", read_bytes)  # blocks that end anywhere
        found = parts_of([str(source)])
        assert in_parts(source, tmp_path / "out")[0] == at_once(source, tmp_path / "whole", "text")
    assert [part.number for part in found] == list(range(len(found)))
    assert sum(part.end - part.start for part in found) == source.stat().st_size


def test_joined_outputs_of_json_lines_are_those_of_one_run(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    rows = [{"text": f"né{n} x"} if n % 2 else {"tokens": ["a", f"{n}"]} for n in range(8)]
    source.write_text("".join(json.dumps(row) + "\n\n" for row in rows), encoding="utf-8")
    assert in_parts(source, tmp_path / "out")[0] == at_once(source, tmp_path / "whole", "jsonl")


def test_a_source_that_became_shorter_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("".join(f"line {n}\n" for n in range(7)))
    found = parts_of([str(source)])
    source.write_text("line")
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=f"{source}: shorter than when it was split"):
        for part in found:
            tag_part(STUB, part, str(tmp_path / "out"), False)


@pytest.mark.parametrize("skip", [True, False])
def test_an_error_names_the_line_of_the_source(tmp_path: Path, skip: bool) -> None:
    source = tmp_path / "in.txt"
    source.write_bytes(b"a\nb\nc\nd\n\xff\nf\n")
    if skip:
        joined, notes = in_parts(source, tmp_path / "out", skip)
        assert joined == at_once(source, tmp_path / "whole", "text", skip)
        assert [note for note in notes if f"{source}:5: not valid" in note]
        return
    with pytest.raises(DataError, match=f"^{source}:5: not valid"):
        in_parts(source, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["part-000000.jsonl"]  # nothing incomplete


def test_a_parquet_file_keeps_its_columns_and_gets_entities(tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    texts = [f"né{n} x" if n != 4 else None for n in range(7)]
    table = pa.table({"id": range(7), "text": texts, "at": [{"page": n} for n in range(7)]})
    pq.write_table(table, source, row_group_size=3)
    with pytest.raises(DataError, match=f"{source}:5: neither text nor words"):
        in_parts(source, tmp_path / "stopped")
    notes = in_parts(source, tmp_path / "out", skip=True)[1]
    assert len(notes) == 1 and f"skipped: {source}:5" in notes[0]
    found = pa.concat_tables([pq.read_table(file) for file in sorted((tmp_path / "out").iterdir())])
    assert found.drop_columns("entities").equals(table)
    lines = tmp_path / "in.txt"
    lines.write_text("".join(f"{text}\n" for text in texts if text), encoding="utf-8")
    rows = [json.loads(line)["entities"] for line in at_once(lines, tmp_path / "whole", "text").splitlines()]
    assert found["entities"].to_pylist() == [*rows[:4], None, *rows[4:]]


@pytest.mark.parametrize("name", ["text", "tokens"])
def test_a_row_that_is_not_utf8_is_an_error_of_its_own(tmp_path: Path, name: str) -> None:
    source = tmp_path / "in.parquet"
    raw = pa.array([b"Ann", b"B\xffb", b"Cem", "né".encode()])
    texts = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())  # as a writer that does not check leaves it
    column = texts if name == "text" else pa.ListArray.from_arrays(pa.array(range(5), pa.int32()), texts)
    pq.write_table(pa.table({name: column}), source)
    with pytest.raises(DataError, match=f"^{source}:2: not valid UTF-8, got byte 0xff"):
        in_parts(source, tmp_path / "stopped")
    notes = in_parts(source, tmp_path / "out", skip=True)[1]
    assert len(notes) == 1 and f"skipped: {source}:2: not valid UTF-8" in notes[0]
    found = pa.concat_tables([pq.read_table(file) for file in sorted((tmp_path / "out").iterdir())])
    assert [row and row[0]["text"] for row in found["entities"].to_pylist()] == ["Ann", None, "Cem", "né"]
    assert found[name].combine_chunks().equals(pq.read_table(source)[name].combine_chunks())


def test_a_source_that_has_entities_already_is_refused_before_anything_is_tagged(tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": ["Ann"], "entities": [1]}), source)
    with pytest.raises(DataError, match=f"{source}: a column entities already"):
        parts_of([str(source)])


@pytest.mark.parametrize("name", ["text", "tokens"])
def test_two_columns_of_one_name_are_refused_before_anything_is_tagged(tmp_path: Path, name: str) -> None:
    pq.write_table(pa.table([["a"], ["b"]], names=[name, name]), tmp_path / "in.parquet")
    with pytest.raises(DataError, match=f"in.parquet: several columns {name}"):
        parts_of([str(tmp_path / "in.parquet")])


def test_what_cannot_be_split_is_refused_before_anything_is_tagged(tmp_path: Path) -> None:
    (tmp_path / "list.jsonl").write_text('[{"text": "a"},\n{"text": "b"}]\n')
    (tmp_path / "in.conllu").write_text("1\ta\n\n")
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(ParamsError, match="one JSON list cannot be split"):
        parts_of([str(tmp_path / "list.jsonl")])
    with pytest.raises(ParamsError, match=r"in.conllu: cannot be split into parts; name files of .jsonl, "):
        parts_of([str(tmp_path / "in.conllu")])
    with pytest.raises(DataError, match="not a Parquet file"):
        parts_of([str(tmp_path / "bad.parquet")])
    with pytest.raises(DataError, match="no such file"):
        parts_of([str(tmp_path / "none.txt")])
    with pytest.raises(DataError, match="cannot be opened"):
        parts_of(["nowhere://x/in.txt"])


def test_sources_and_outputs_may_be_on_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "ENDPOINT_URL": f"http://{host}:{port}",
            "ACCESS_KEY_ID": "a",
            "SECRET_ACCESS_KEY": "b",
        }.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        filesystem, _ = FileSystem.from_uri("s3://texts/?allow_bucket_creation=true")
        filesystem.create_dir("texts")
        local = tmp_path / "in.txt"
        local.write_text("a b\nc\nd\ne\n")
        copy_files(str(local), "texts/in.txt", destination_filesystem=filesystem)
        found = parts_of(["s3://texts/in.txt"])
        for part in found:
            tag_part(STUB, part, "s3://texts/out", skip=False)
        outputs = filesystem.get_file_info(FileSelector("texts/out"))
        assert [info.base_name for info in outputs] == ["part-000000.jsonl", "part-000001.jsonl"]
        joined = b"".join(filesystem.open_input_stream(info.path).read() for info in outputs)
        assert joined == at_once(local, tmp_path / "whole", "text")
    finally:
        server.stop()


def test_a_source_may_be_a_uri(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("a\nb\nc\nd\n")
    by_path, by_uri = (parts_of([name]) for name in (str(source), source.as_uri()))
    assert [part._replace(source="") for part in by_path] == [part._replace(source="") for part in by_uri]
    assert isinstance(parts.locate(source.as_uri())[0], LocalFileSystem)
