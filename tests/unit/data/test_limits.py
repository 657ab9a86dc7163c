"""Limits of what is read: each is an error with its place, in bounded time, and no message shows a whole value."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fpplm_core.data import text_files
from fpplm_core.data.conversion import convert
from fpplm_core.data.formats import detect, read_sentences
from fpplm_core.data.options import Options
from fpplm_core.data.records import LONGEST_WORD
from fpplm_core.errors import LONGEST_PART, DataError

LONG = "x" * (LONGEST_WORD + 1)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.conll", f"a\tO\n{LONG}\tB-X\n\nb\tO\n", 2),
        ("a.conll", f"a\tO\nb\t{LONG}\n", 2),
        ("a.jsonl", f'{{"tokens": ["a"], "tags": ["O"]}}\n{{"tokens": ["{LONG}"], "tags": ["O"]}}\n', 2),
        ("a.jsonl", f'{{"text": "a {LONG}", "entities": [{{"start": 0, "end": 1, "label": "X"}}]}}\n', 1),
    ],
)
def test_a_word_or_tag_that_is_too_long_is_refused_at_its_line(tmp_path, name, content, line):
    path = tmp_path / name
    path.write_text(content)
    for read in (
        lambda: list(read_sentences(path, "auto", Options())),
        lambda: convert(path, tmp_path / "out.csv", Options()),
    ):
        with pytest.raises(DataError) as caught:
            read()
        assert str(caught.value).startswith(f"{path}:{line}: a word or tag of {LONGEST_WORD + 1}")
        assert len(str(caught.value)) < len(str(path)) + 300
    assert not (tmp_path / "out.csv").exists()
    path.write_text(content.replace(LONG, LONG[1:]))
    assert list(read_sentences(path, "auto", Options()))


def test_a_line_that_is_too_long_is_refused_before_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "LONGEST_LINE", 1000)
    path = tmp_path / "a.conll"
    path.write_text("a\tO\n" * 300 + "b" * 995 + "\tO\n")
    assert len(next(read_sentences(path, "auto", Options())).words) == 301
    path.write_text("a\tO\n" * 300 + "b" * 1000 + "\tO\n")
    with pytest.raises(DataError, match=r"a.conll:301: a line of more than 1000 bytes"):
        list(read_sentences(path, "auto", Options()))


def test_a_small_parquet_file_of_very_many_rows_is_refused(tmp_path):
    path, rows = tmp_path / "a.parquet", 250_000
    schema = pa.schema([("sentence", pa.int64()), ("word", pa.string()), ("tag", pa.string())])
    table = pa.table([pa.array([1] * rows), pa.array(["a"] * rows), pa.array(["O"] * rows)], schema=schema)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for _ in range(10):
            writer.write_table(table, row_group_size=rows)
    with pytest.raises(
        DataError, match=r"a.parquet: a small file that unpacks to very much, got 2500000 rows in a file"
    ):
        list(read_sentences(path, "parquet", Options()))


def test_a_small_parquet_file_of_very_long_lists_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"tokens": [["word"] * 1_000_000] * 20, "tags": [["O"] * 1_000_000] * 20})
    pq.write_table(table, path, compression="zstd")
    with pytest.raises(DataError, match=r"a small file that unpacks to very much, got .* bytes in a file"):
        list(read_sentences(path, "hugging_face", Options()))


def test_no_error_holds_a_whole_value():
    error = DataError("w" * 10**6, where="a:1", got="g" * 10**6, do="mend it")
    assert len(str(error)) < 2 * LONGEST_PART + 50 and str(error).endswith("mend it")


def test_a_pipe_is_refused_before_it_is_opened(tmp_path):
    pipe = tmp_path / "a.conll"
    os.mkfifo(pipe)
    refused = pytest.raises(DataError, match=r"a.conll: neither a file nor a folder; .* can be read only once")
    with refused:
        detect(pipe)
    with refused:
        next(read_sentences(pipe, "conll", Options()))
    with refused:
        convert(pipe, tmp_path / "b.conll", Options(), "conll")


def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    path = tmp_path / os.fsdecode(b"\xe9.conll")
    path.write_text("a\tO\n")
    with pytest.raises(DataError, match="not UTF-8") as caught:
        next(read_sentences(path, "auto", Options()))
    assert "\\udce9.conll" in str(caught.value)


def test_a_folder_of_unknown_content_is_named_as_one(tmp_path):
    with pytest.raises(DataError, match=r"a folder without .ann files or a saved dataset; name a file"):
        detect(tmp_path)
