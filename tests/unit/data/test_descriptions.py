"""data.describe: read and encoded with the corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from fpplm_core.data import windows
from fpplm_core.data.corpus import INFO, CorpusInfo
from fpplm_core.data.reading import read_corpus
from fpplm_core.errors import FpplmError
from fpplm_core.files import read_record, write_record
from fpplm_core.params import Params, load
from fpplm_core.settings import read_yaml
from fpplm_core.tagging.windows import WindowBuilder
from fpplm_core.training.data import load_data
from tests.conftest import ROOT

TRAIN = "".join(f"a{n} B-PER\nin O\nb{n} B-creative-work\n\n" for n in range(12))


def read(folder: Path, descriptions: dict[str, Any], **changes: object) -> CorpusInfo:
    """The corpus in `folder` with these descriptions."""
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data/train.conll").write_text(TRAIN)
    values = read_yaml(ROOT / "params.yaml")
    values["data"] |= {"path": str(folder / "data"), "dev": None, "test": None, "describe": descriptions} | changes
    read_corpus(Params.parse(values, "params.yaml").data, folder)
    return read_record(folder / INFO, CorpusInfo)


def test_a_description_is_split_as_texts_are(tmp_path: Path) -> None:
    texts = {"creative-work": "电影, books", "PER": "names of persons"}
    assert read(tmp_path, texts).descriptions == {
        "PER": ["names", "of", "persons"],
        "creative-work": ["电", "影", ",", "books"],
    }
    assert read(tmp_path, texts, segmentation="whitespace").descriptions["creative-work"] == ["电影,", "books"]
    assert read(tmp_path, {}).descriptions == {}


@pytest.mark.parametrize(
    ("descriptions", "message"),
    [
        ({"GPE": "countries", "PER": "persons"}, "data.describe: train has no such type, got 'GPE'; "),
        ({"B-PER": "persons", "PER": "persons"}, "data.describe: train has no such type, got 'B-PER'; "),
        ({"O": "other words", "PER": "persons"}, "describe PER, creative-work"),
        ({"x\n\x1b[31m": "persons", "PER": "persons"}, r"got 'x\n\x1b[31m'"),
        ({"PER": " \t", "creative-work": "books"}, "data.describe.PER: a description without a word, got ' \\t'"),
        ({"PER": "persons"}, "describe at least two types, or none"),
        ({"PER": "", "creative-work": "books"}, "params.yaml: data.describe.PER: must have at least 1"),
        ({"PER": "p" * 201, "creative-work": "books"}, "at most 200 characters"),
        ({"PER": ["persons"], "creative-work": "books"}, "data.describe.PER: must be text"),
    ],
)
def test_a_wrong_description_is_refused_in_one_line(tmp_path: Path, descriptions: dict[str, Any], message: str) -> None:
    with pytest.raises(FpplmError) as caught:
        read(tmp_path, descriptions)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / INFO).exists()


@pytest.mark.parametrize("window", [8, 64])
def test_training_gets_the_windows_of_every_description(tmp_path: Path, tiny_encoder: Path, window: int) -> None:
    texts = {"PER": "the city of London " * 5, "creative-work": "河 words"}
    read(tmp_path, texts)
    builder = WindowBuilder(Tokenizer.from_file(str(tiny_encoder / "tokenizer.json")), window, 2)
    write_record(tmp_path / windows.INFO, windows.encode_corpus(tmp_path, tmp_path, builder, 4))
    found = load_data(load().train, tmp_path, tmp_path).descriptions
    assert found == {kind: builder.windows([text.split()]) for kind, text in texts.items()}
    assert sum(len(one.owned_words) for one in found["PER"]) == 20 and len(found["PER"]) == (5 if window == 8 else 1)


def test_descriptions_change_no_window_and_no_label(tmp_path: Path, tiny_encoder: Path) -> None:
    contents = []
    for name, texts in {"without": {}, "with": {"PER": "persons", "creative-work": "books"}}.items():
        folder = tmp_path / name
        folder.mkdir()
        read(folder, texts, path=str(tmp_path / "without/data"))
        builder = WindowBuilder(Tokenizer.from_file(str(tiny_encoder / "tokenizer.json")), 64, 16)
        info = windows.encode_corpus(folder, folder, builder, 4)
        files = [file.read_bytes() for file in sorted(folder.glob("*.arrow"))]
        contents.append((files, info.labels, info.counts))
    assert len(contents[0][0]) == 3 and contents[0] == contents[1]
