"""What all stages share: files that are in place as a whole or not at all."""

import pytest
import safetensors.torch
import torch

from fpplm_core.errors import StorageError
from fpplm_core.files import write_tensors


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
