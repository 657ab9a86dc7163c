"""What changes of an encoder are seen, and that no file is read twice for it."""

from __future__ import annotations

import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fpplm.pipeline import hashes, inputs
from fpplm.pipeline.hashes import hash_files
from fpplm.pipeline.inputs import INPUTS, Parts, encoder, write_inputs
from fpplm_core.errors import DataError, EncoderError
from fpplm_core.params import Params

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def settings(name: str, revision: str | None = None, unlabelled: str | None = None) -> Params:
    model = SimpleNamespace(encoder=name, revision=revision, start=None)
    data = SimpleNamespace(path="data", unlabelled=unlabelled)
    return cast(Params, SimpleNamespace(model=model, data=data))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local encoder."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "encoders" / "small"
    (made / "onnx").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", ".gitattributes", "onnx/model.onnx"):
        (made / name).write_text(name)
    return made


def read(name: str = "encoders/small") -> Any:
    write_inputs(settings(name))
    return json.loads((INPUTS / "encoder.json").read_text())


def overwrite(file: Path, content: str) -> None:
    """In place: the same inode, and another time, however coarse the clock of the disk is."""
    before = file.stat().st_mtime_ns
    file.write_text(content)
    os.utime(file, ns=(before + 1, before + 1))


def test_it_holds_what_a_local_encoder_is_loaded_from(folder: Path) -> None:
    assert read() == {name: sha256(name.encode()).hexdigest() for name in ("config.json", "model.safetensors")}


def test_a_weight_file_edited_to_the_same_size_is_seen(folder: Path) -> None:
    before = read()
    overwrite(folder / "model.safetensors", "MODEL.safetensors")
    assert read() == before | {"model.safetensors": sha256(b"MODEL.safetensors").hexdigest()}


def test_a_weight_file_put_in_its_place_with_the_same_size_and_time_is_seen(folder: Path) -> None:
    before, old = read(), folder / "model.safetensors"
    new = folder.parent / "new"
    new.write_text("MODEL.safetensors")
    os.utime(new, ns=(1, old.stat().st_mtime_ns))
    new.replace(old)
    assert read()["model.safetensors"] != before["model.safetensors"]


def test_files_come_and_go(folder: Path) -> None:
    (folder / "vocab.txt").write_text("a")
    (folder / "config.json").unlink()
    assert sorted(read()) == ["model.safetensors", "vocab.txt"]


def test_it_does_not_matter_where_the_folder_is_nor_when_it_was_made(folder: Path) -> None:
    before = read()
    folder.rename(folder.parent / "other")
    os.utime(folder.parent / "other" / "model.safetensors")
    assert read("encoders/other") == before


def test_an_unchanged_file_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = hashes.file_sha256
    monkeypatch.setattr(hashes, "file_sha256", lambda file: seen.append(file.name) or real(file))
    before = read()
    assert seen == ["config.json", "model.safetensors"]
    assert read() == before
    overwrite(folder / "config.json", "{}")
    read()
    assert seen == ["config.json", "model.safetensors", "config.json"]


@pytest.mark.parametrize("content", ["", "[1]", '{"x": 1}', "\0"])
def test_a_damaged_memory_is_made_anew(folder: Path, content: str) -> None:
    before = read()
    Path(".fpplm/hashes.json").write_text(content)
    assert read() == before


@pytest.mark.parametrize("entry", [3, [], {}, None])
def test_a_damaged_entry_is_made_anew(folder: Path, entry: Any) -> None:
    before = read()
    stored = json.loads(Path(".fpplm/hashes.json").read_text())
    Path(".fpplm/hashes.json").write_text(json.dumps(dict.fromkeys(stored, entry)))
    assert read() == before


def test_an_encoder_in_a_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "an_encoder").mkdir()
    (folder.parent / "an_encoder" / "__init__.py").write_text("")
    folder.rename(folder.parent / "an_encoder" / "model")
    monkeypatch.syspath_prepend(folder.parent)
    assert sorted(read("package:an_encoder/model")) == ["config.json", "model.safetensors"]
    for name in ("package:an_encoder/none", "package:no_such_encoder/model"):
        with pytest.raises(EncoderError):
            read(name)
    sys.modules.pop("an_encoder", None)


def test_a_hub_encoder_is_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = tmp_path / "models--someone--small"
    (model / "snapshots" / COMMIT).mkdir(parents=True)
    (model / "snapshots" / COMMIT / "config.json").write_text("{}")
    (model / "refs").mkdir()
    name = "someone/small"
    assert encoder(settings(name)) == {name: "main"}  # neither cached nor to be had
    assert encoder(settings(name, "v2")) == {name: "v2"}
    assert encoder(settings(name, COMMIT)) == {name: COMMIT}
    (model / "refs" / "main").write_text(COMMIT)
    assert encoder(settings(name)) == {name: COMMIT}
    assert encoder(settings(name, "v2")) == {name: "v2"}
    monkeypatch.setattr(huggingface_hub, "model_info", lambda *_, **__: SimpleNamespace(sha="f" * 40))
    assert encoder(settings(name, "v2")) == {name: "f" * 40}  # what will be loaded
    assert encoder(settings(name)) == {name: COMMIT}


def test_an_input_that_is_not_set_is_none_and_a_file_that_is_right_keeps_its_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Parts = {}
    monkeypatch.setitem(inputs.INPUT, "another", lambda _: nothing)
    INPUTS.mkdir(parents=True)
    (INPUTS / "gone.json").write_text("{}")
    read()
    files = sorted(INPUTS.iterdir())
    assert [file.name for file in files] == ["another.json", "encoder.json", "start.json", "unlabelled.json"]
    assert [file.read_text() for file in files if file.stem != "encoder"] == ['"none"\n'] * 3
    for file in files:
        os.utime(file, ns=(1, 1))
    overwrite(folder / "config.json", "{}")
    read()
    assert [file.name for file in files if file.stat().st_mtime_ns != 1] == ["encoder.json"]


def test_a_file_that_cannot_be_remembered_is_hashed_all_the_same(folder: Path) -> None:
    Path(".fpplm").write_text("a file where the folder should be")
    assert len(hash_files(folder)) == 2


def test_unlabelled_text_is_its_files(folder: Path) -> None:
    Path("text").mkdir()
    for name in ("a.txt", "b.jsonl", ".hidden"):
        Path("text", name).write_text(name)

    def read_text(place: str | None) -> Any:
        write_inputs(settings("encoders/small", unlabelled=place))
        return json.loads((INPUTS / "unlabelled.json").read_text())

    assert read_text(None) == read_text("nowhere") == "none"
    before = read_text("text")
    assert before == {name: sha256(name.encode()).hexdigest() for name in ("a.txt", "b.jsonl")}
    overwrite(Path("text/a.txt"), "A.txt")
    assert read_text("text") == before | {"a.txt": sha256(b"A.txt").hexdigest()}


@pytest.mark.parametrize("place", ["data", "data/sub", "texts"])
def test_a_name_that_a_manifest_cannot_hold_is_refused_first(folder: Path, place: str) -> None:
    """Whether a stage reads the file or not."""
    path = Path(place) / os.fsdecode(b"caf\xe9.md")
    path.parent.mkdir(parents=True)
    path.write_text("")
    with pytest.raises(DataError, match=r"\\udce9.md: a name that is not UTF-8; rename it"):
        write_inputs(settings("encoders/small", unlabelled="texts"))
