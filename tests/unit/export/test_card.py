"""The model card as the hub reads it, and the numbers that it shows."""

from __future__ import annotations

from typing import Any

import pytest
from huggingface_hub import ModelCard

from fpplm_core.export.card import card

SCORE = {"f1": 0.7398, "f1_low": 0.70, "f1_high": 0.78, "precision": 0.7, "recall": 0.81}
CLIENT = {"file": "onnx/model.onnx", "dev_f1": 0.7442, "test_f1": 0.7370}
VERDICT = {"dev_f1": 0.7577, "test_f1": 0.7449}


def lineage(path: str = "data/wikigold", **more: Any) -> dict[str, Any]:
    test = {**SCORE, "types": {"PER": {**SCORE, "support": 3}}}
    parameters = {"data": {"path": path}, "model": {"encoder": "e"}, "export": {"license": "cc-by-4.0"}}
    made_of = {"data": {}, "packages": {}, "lock_sha256": None, "encoder_sha256": "4" * 64, "model_sha256": "5" * 64}
    return {"fpplm": "0", "scores": {"test": test}, "parameters": parameters, **made_of, **more}


def test_the_hub_reads_task_dataset_licence_and_scores() -> None:
    data = ModelCard(card(lineage(), True)).data
    assert (data.pipeline_tag, data.datasets, data.license) == ("token-classification", ["wikigold"], "cc-by-4.0")
    assert "transformers.js" in data.tags and data.model_name == "wikigold-tagger"
    found = {result.metric_type: (result.metric_value, result.dataset_split) for result in data.eval_results}
    assert found == {"f1": (0.7398, "test"), "precision": (0.7, "test"), "recall": (0.81, "test")}


@pytest.mark.parametrize("path", ["data/a: b", "data/-", "/", "data/---\nlicense: mit\n---", "données/Ö"])
def test_a_path_cannot_change_the_metadata(path: str) -> None:
    text = card(lineage(path), True)
    data = ModelCard(text).data
    assert data.license == "cc-by-4.0" and len(data.datasets) == 1 and data.datasets[0]
    assert text.count("\n---\n") == 1


def test_the_card_says_what_other_clients_get() -> None:
    assert "Transformers.js" not in card(lineage(), True)
    text = card(lineage(clients={"fp32": CLIENT}, variants={"fp32 on cpu": VERDICT}), True)
    assert "| `onnx/model.onnx`, as such a client | 0.7442 | 0.7370 |" in text
    assert "| fp32, as `Predictor` | 0.7577 | 0.7449 |" in text
    assert "without a decoder" not in text
    assert "without a decoder" in card(lineage(clients={"fp32": CLIENT}, variants={"fp32 on cpu": VERDICT}), False)
