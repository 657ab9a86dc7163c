"""The verdict on an exported graph, and which graphs a bundle gets."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from fpplm_core.data.records import Sentence
from fpplm_core.errors import FpplmError
from fpplm_core.export.bundle_writer import by_device, config_json
from fpplm_core.export.parity import TorchAnswer, parity_verdict
from fpplm_core.export.settings import VerifySettings
from fpplm_core.export.verdicts import VariantVerdict, VerifyReport, require_fp32
from fpplm_core.serving.config import BundleConfig
from fpplm_core.tagging.decoder import SpanDecoder

LABELS = ["O", "S-PER"]
SETTINGS = VerifySettings(max_logit_delta=1e-3, max_f1_loss=0.1)
SENTENCES = [
    Sentence(("Ann", "ran"), ("B-PER", "O"), "f", (1, 2)),
    Sentence(("Bob",), ("B-PER",), "f", (4,)),
]
LOGITS = np.array([[0, 4], [4, 0], [0, 4]], dtype=np.float32)  # both mentions, and nothing else
TORCH = TorchAnswer.of([SENTENCES], LOGITS, SpanDecoder.of_labels(LABELS))
GOOD = VariantVerdict(1e-5, 0, 0.5, 0.0, accepted=True)


def logits(changes: dict[tuple[int, int], float]) -> list[np.ndarray]:
    changed = LOGITS.copy()
    for place, value in changes.items():
        changed[place] += value
    return np.split(changed, [2])


def test_the_logits_of_all_sentences_are_parted_by_their_words() -> None:
    assert [len(values) for values in TORCH.logits] == [2, 1]
    assert TORCH.spans == TORCH.gold


@pytest.mark.parametrize(
    ("variant", "changes", "accepted"),
    [
        ("fp32", {}, True),
        ("fp32", {(0, 0): 5e-4}, True),
        ("fp32", {(0, 0): 5e-3}, False),  # the same spans, logits too far away
        ("fp32", {(1, 1): 9.0}, False),
        ("int8", {(0, 0): 3.0}, True),  # logits may be anywhere while the spans hold
        ("int8", {(2, 0): 9.0}, False),
    ],
)
def test_fp32_gives_torchs_spans_and_others_may_lose_a_little(
    variant: str, changes: dict[tuple[int, int], float], accepted: bool
) -> None:
    verdict = parity_verdict(variant, logits(changes), TORCH, SETTINGS)
    assert verdict.accepted == accepted
    assert verdict.f1_loss == pytest.approx(1.0 - verdict.f1)
    assert verdict.max_logit_delta == pytest.approx(max(map(abs, changes.values()), default=0.0), rel=1e-3)


def test_a_variant_that_finds_more_than_torch_has_a_negative_loss_and_serves() -> None:
    half_blind = TorchAnswer.of([SENTENCES], np.concatenate(logits({(2, 0): 9.0})), TORCH.decoder)
    verdict = parity_verdict("int8", logits({}), half_blind, SETTINGS)
    assert verdict.f1_loss < 0 and verdict.accepted and verdict.sentences_with_other_spans == 1


@pytest.mark.parametrize(
    ("refused", "kept"),
    [
        (set(), ["fp32", "fp16", "int8"]),  # mixed stands in for int8
        ({"int8"}, ["fp32", "fp16", "mixed"]),
        ({"int8", "mixed"}, ["fp32", "fp16"]),
        ({"fp16"}, ["fp32", "int8"]),
    ],
)
def test_what_is_refused_on_one_device_is_left_out_on_all(refused: set[str], kept: list[str]) -> None:
    sizes = dict.fromkeys(["fp32", "fp16", "int8", "mixed"], 1)
    verdicts = {f"{v} on cpu": replace(GOOD, accepted=v not in refused) for v in sizes} | {"fp16 on cuda": GOOD}
    report = VerifyReport.of(verdicts, sizes)
    assert (report.refused, report.kept) == (sorted(refused), kept)
    require_fp32(report)


def test_without_fp32_there_is_no_bundle() -> None:
    report = VerifyReport.of({"fp32 on cpu": replace(GOOD, accepted=False)}, {"fp32": 1})
    with pytest.raises(FpplmError, match=r"verify: the exported graph does not reproduce torch's output.*\"f1\": 0\.5"):
        require_fp32(report)


def test_the_trial_of_the_label_language_model_comes_last_in_the_file() -> None:
    report = VerifyReport.of({"fp32 on cpu": GOOD}, {"fp32": 1})
    assert list(asdict(report)) == ["variants", "bytes", "refused", "served", "clients", "label_lm"]


def test_a_configuration_is_read_as_it_was_written() -> None:
    config = BundleConfig(
        LABELS,
        [[0.0] * (len(LABELS) + 1)] * (len(LABELS) + 1),
        64,
        16,
        8,
        None,
        "unicode-1",
        0.9,
        True,
        by_device(["fp32", "fp16"]),
        {"fp32": "onnx/model.onnx", "fp16": "onnx/model_fp16.onnx"},
    )
    values = json.loads(json.dumps(config_json(config)))
    keys = ["labels", "transitions", "window", "stride", "context", "first_shape", "words", "label_lm", "variants"]
    assert list(values) == [*keys, "graphs", "lower_case"]
    assert values["variants"] == {"cpu": ["fp32", "fp16"], "cuda": ["fp16", "fp32"]}
    assert BundleConfig.from_json({"fpplm": values}, 2) == config
    old = {key: values[key] for key in keys}
    names = {"fp32": "model.fp32.onnx", "fp16": "model.fp16.onnx"}
    assert BundleConfig.from_json(old, 1) == replace(config, graphs=names, logits="logits")
