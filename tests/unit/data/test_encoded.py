"""An encoded split in a memory-mapped file gives the rows that were written, in every way it can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.encoded import LABELS, SCHEMA, Encoded, RenumberedWindows, open_windows, piece_counts, windows_file
from fpplm_core.errors import DataError
from fpplm_core.files import write_mapped_table
from fpplm_core.tagging.batches import Batches
from fpplm_core.tagging.windows import Window

lists = st.lists(st.integers(0, 300), max_size=4)
rows = st.lists(st.builds(Window, st.just(0), lists, lists, lists, lists), max_size=9)


def write(path: Path, windows: list[Window], labels: list[list[int]] | None, size: int) -> None:
    """Batches of `size` windows; without labels, the file has no such column."""
    schema = SCHEMA if labels is None else pa.schema([*SCHEMA, pa.field("labels", LABELS)])

    def batch(start: int) -> pa.RecordBatch:
        part = windows[start : start + size]
        columns = [[getattr(w, field) for w in part] for field in Window.__slots__]
        own = [] if labels is None else [labels[start : start + size]]
        return pa.RecordBatch.from_pydict(dict(zip(schema.names, columns + own, strict=True)), schema)

    write_mapped_table(path, (batch(start) for start in range(0, len(windows), size)), schema)


@given(rows, rows, st.integers(1, 4), st.data())
def test_two_files_in_one_are_the_rows_of_both(tmp_path_factory, first, second, size, data):
    folder = tmp_path_factory.mktemp("encoded")
    labels = [data.draw(lists) for _ in first]
    write(windows_file(folder, "train"), first, labels, size)
    write(windows_file(folder, "second"), second, None, size)
    tables = [open_windows(split, folder) for split in ("train", "second")]
    windows, tags, other = Encoded.of(*tables)
    wanted = [*first, *second]
    assert list(windows) == [windows[row] for row in range(len(windows))] == windows[:] == wanted
    assert list(tags) == tags[:] == [*labels, *([[]] * len(second))] and other[:] == [[]] * len(wanted)
    assert np.concatenate([piece_counts(table) for table in tables]).tolist() == [len(w.ids) for w in wanted]
    assert all(type(value) is int for window in windows for value in (window.sentence, *window.ids))
    with pytest.raises(IndexError):
        windows[len(wanted)]
    if wanted:
        assert windows[-1] == wanted[-1] and windows[:-1] == wanted[:-1]


@given(st.lists(st.integers(0, 3), max_size=9), st.integers(1, 4), st.data())
def test_windows_of_sentences_are_numbered_from_the_first_of_them(tmp_path_factory, counts, size, data):
    """Sentence n has counts[n] windows; a sentence without words has none."""
    windows = [Window(n, [n], [0], [0], [0]) for n, count in enumerate(counts) for _ in range(count)]
    path = tmp_path_factory.mktemp("encoded") / "dev.arrow"
    write(path, windows, None, size)
    start = data.draw(st.integers(0, len(counts)))
    end = data.draw(st.integers(start, len(counts)))
    found = Encoded.of(open_windows("dev", path.parent)).windows.of_sentences(start, end)
    assert [(w.sentence + start, w.ids) for w in found] == [
        (n, [n]) for n in range(start, end) for _ in range(counts[n])
    ]


def test_windows_are_renumbered_when_they_are_read():
    windows = RenumberedWindows(
        [Window(0, [7, 3, 7], [0], [0], [0] * 3), Window(1, [9], [0], [0], [0])], np.array([3, 7, 9])
    )
    assert [window.ids for window in windows] == [[1, 0, 1], [2]] and windows[1].sentence == 1


@given(st.lists(lists, max_size=6))
def test_batches_are_lists_of_rows(batches):
    assert list(Batches(batches)) == Batches(map(np.array, batches))[:] == batches


def test_a_missing_or_damaged_file_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"dev.arrow.*missing.*run: dvc repro"):
        open_windows("dev", tmp_path)
    write(windows_file(tmp_path, "dev"), [Window(0, [5] * 9, [0], [0], [0])], None, 1)
    whole = windows_file(tmp_path, "dev").read_bytes()
    for content in (b"", b"ARROW1\0\0no", b"x" * 99, whole[:-9], whole[: len(whole) // 2]):
        windows_file(tmp_path, "dev").write_bytes(content)
        with pytest.raises(DataError, match=r"dev.arrow: not an Arrow file.*run: dvc repro"):
            open_windows("dev", tmp_path)
    refused = 0
    for place in range(-len(whole), 0, 5):
        windows_file(tmp_path, "dev").write_bytes(
            whole[:place] + bytes([whole[place] ^ 255]) + whole[len(whole) + place + 1 :]
        )
        try:
            open_windows("dev", tmp_path)
        except DataError:
            refused += 1
    assert refused > 10, "and none is another error"
