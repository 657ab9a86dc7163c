"""Encoder folders that bring code: nothing of it runs, nobody is asked, and the error is one line."""

from __future__ import annotations

import builtins
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpplm_core.errors import EncoderError
from fpplm_core.model import pretrained

LOADERS = (pretrained.load_tokenizer, pretrained.load_config, pretrained.load_encoder)


class Run:
    """Unpickling it creates a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.mark), "w")


@pytest.fixture
def copy(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a copy of the tiny encoder with other keys in a file."""

    def asked(prompt: str = "") -> str:
        pytest.fail(f"it asked: {prompt}")

    monkeypatch.setattr(builtins, "input", asked)

    def make(file: str = "config.json", **values: Any) -> Path:
        folder = tmp_path / "encoder"
        if not folder.exists():
            shutil.copytree(tiny_encoder, folder)
            (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: ...\n")
        content = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(content | values))
        return folder

    return make


def refused(folder: Path, load: Callable[[str], Any]) -> str:
    with pytest.raises(EncoderError) as caught:
        load(str(folder), None)
    assert "\n" not in str(caught.value)
    assert not (folder.parent / "ran").exists(), "its code ran"
    return str(caught.value)


KERNELS = [
    {"_attn_implementation_internal": "someone/kernel"},
    {"_attn_implementation": "someone/kernel@main:f"},
    {"attn_implementation": "someone/kernel"},
    {"attn_implementation": {"": "eager", "text_config": "x"}, "experts_implementation": "someone/kernel"},
    {"_experts_implementation_internal": "a/b"},
    {"text_config": {"_attn_implementation_internal": "someone/kernel"}},
    {"parts": [{"inner": {"attn_implementation": "someone/kernel"}}]},
    {"trust_remote_code": True},
    {"vision_config": {"trust_remote_code": True, "auto_map": {"AutoModel": "evil.Evil"}}},
]


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("values", KERNELS, ids=str)
def test_a_config_that_names_code_to_fetch_is_refused(
    copy: Callable[..., Path], values: dict[str, Any], load: Callable[[str], Any]
) -> None:
    assert "names code to fetch" in refused(copy(**values), load)


@pytest.mark.parametrize("load", LOADERS)
def test_code_beside_an_unknown_model_never_runs(copy: Callable[..., Path], load: Callable[[str], Any]) -> None:
    folder = copy(
        model_type="evil", auto_map=dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForMaskedLM"), "evil.Evil")
    )
    copy("tokenizer_config.json", tokenizer_class="Evil", auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]})
    refused(folder, load)


def test_code_beside_a_known_model_is_left_alone(copy: Callable[..., Path]) -> None:
    folder = copy(auto_map={"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}, attn_implementation="sdpa")
    encoder = pretrained.load_encoder(str(folder), None)
    assert type(encoder).__name__ == "BertModel" and encoder.config._attn_implementation == pretrained.ATTENTION
    assert not (folder.parent / "ran").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_pickle_is_never_opened(copy: Callable[..., Path], name: str) -> None:
    folder = copy()
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Run(folder.parent / "ran")))
    refused(folder, pretrained.load_encoder)
