"""What all stages share: files that are in place as a whole or not at all."""

import pytest
import safetensors.torch
import torch

from fpplm_core.errors import StorageError
from fpplm_core.files import append_json_line, read_json_lines, write_tensors


def test_tensors_are_written_with_their_metadata_and_read_back(tmp_path):
    value = torch.arange(6.0).reshape(2, 3).T  # not contiguous
    write_tensors(tmp_path / "new/folder/a.safetensors", {"a": value}, {"who": "me"})
    assert torch.equal(safetensors.torch.load_file(tmp_path / "new/folder/a.safetensors")["a"], value)
    with safetensors.safe_open(tmp_path / "new/folder/a.safetensors", "pt") as file:
        assert file.metadata() == {"who": "me"}
    assert [path.name for path in (tmp_path / "new/folder").iterdir()] == ["a.safetensors"]


def test_a_failed_write_leaves_the_old_file_and_says_which(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.zeros(1)})
    before = path.read_bytes()
    (tmp_path / "a.safetensors.partial").mkdir()  # nothing can be written there
    with pytest.raises(StorageError, match=r"a.safetensors: cannot be written") as caught:
        write_tensors(path, {"a": torch.ones(1)})
    assert caught.value.exit_code == 7
    assert path.read_bytes() == before


def test_a_line_that_was_cut_short_anywhere_costs_itself_alone(tmp_path):
    path, first, second = tmp_path / "new/a.jsonl", {"name": "Zoë\u2028 [1]"}, {"number": 2}
    assert read_json_lines(path) == []
    append_json_line(path, first)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole + whole[:end])
        append_json_line(path, second)
        kept = [first, first, second] if end == len(whole) - 1 else [first, second]  # there, the newline alone is lost
        assert read_json_lines(path) == kept
    path.write_bytes(b"1\n[{}]\n\n{}")
    assert read_json_lines(path) == [{}]
