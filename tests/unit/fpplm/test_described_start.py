"""A training starts at data.describe, as it was read and encoded before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fpplm.pipeline.paths import CORPUS, ENCODED
from fpplm.registry.lineage import Lineage
from fpplm.session.training import start
from fpplm_core.data import windows
from fpplm_core.data.reading import read_corpus
from fpplm_core.files import write_record
from fpplm_core.model.pretrained import load_tokenizer
from fpplm_core.params import Params
from fpplm_core.settings import read_yaml
from fpplm_core.tagging.windows import WindowBuilder
from fpplm_core.training.run import TrainingRun
from tests.conftest import ROOT

TRAIN = "".join(f"the{n} B-PER\nin O\ncity{n} B-plant\n\n" for n in range(12))


def test_the_head_of_a_run_starts_at_the_descriptions(
    tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch, params: Params
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/train.conll").write_text(TRAIN)

    def begin(descriptions: dict[str, Any]) -> TrainingRun:
        data = read_yaml(ROOT / "params.yaml")["data"]
        data |= {"path": "data", "dev": None, "test": None, "describe": descriptions}
        read_corpus(Params.parse(params.model_dump() | {"data": data}, "params.yaml").data, CORPUS)
        builder = WindowBuilder(load_tokenizer(str(tiny_encoder), None).backend_tokenizer, 64, 16)
        ENCODED.mkdir(parents=True, exist_ok=True)
        write_record(ENCODED / windows.INFO, windows.encode_corpus(CORPUS, ENCODED, builder, 4))
        return start(params.model, params.train, params.technique, False, torch.device("cpu"))

    plain, described = begin({}), begin({"PER": "names of persons", "plant": "trees and herbs"})
    moved = {
        name for name, value in plain.state.tensors().items() if not torch.equal(value, described.state.tensors()[name])
    }
    assert moved == {"model.head.weight", "average.head.weight"}


def test_a_description_is_a_parameter_of_the_lineage_by_its_name() -> None:
    without, described = (
        Lineage(parameters={"data": {"describe": values}}) for values in ({}, {"creative-work": "films, books"})
    )
    changes = [(one.kind, one.name, one.before, one.after) for one in without.diff(described)]
    assert changes == [("parameters", "data.describe.creative-work", "–", "films, books")]
