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
SETTINGS = VerifySettings(max_logit_delta=1e-3, max_f1_loss=0.1, max_f1_bound=1.0)
SENTENCES = [
    Sentence(("Ann", "ran"), ("B-PER", "O"), "f", (1, 2)),
    Sentence(("Bob",), ("B-PER",), "f", (4,)),
]
LOGITS = np.array([[0, 4], [4, 0], [0, 4]], dtype=np.float32)  # both mentions, and nothing else
TORCH = TorchAnswer.of(SENTENCES, [], LOGITS, SpanDecoder.of_labels(LABELS))
GOOD = VariantVerdict(1e-5, 0, 0.5, 0.0, 0.0, 0.5, 0.0, accepted=True)
ORDER = {"cpu": ["int8", "fp32", "fp16"], "cuda": ["fp16", "fp32"]}


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
    assert verdict.dev_f1_loss == pytest.approx(1.0 - verdict.dev_f1)
    assert verdict.max_logit_delta == pytest.approx(max(map(abs, changes.values()), default=0.0), rel=1e-3)


def test_a_variant_that_finds_more_than_torch_has_a_negative_loss_and_serves() -> None:
    half_blind = TorchAnswer.of(SENTENCES, [], np.concatenate(logits({(2, 0): 9.0})), TORCH.decoder)
    verdict = parity_verdict("int8", logits({}), half_blind, SETTINGS)
    assert verdict.dev_f1_loss < 0 and verdict.accepted and verdict.sentences_with_other_spans == 1


def many(count: int, missed: int) -> tuple[TorchAnswer, list[np.ndarray]]:
    """Torch finds the mention of each of `count` sentences of dev, and of test; a graph misses `missed` of dev's."""
    sentence = Sentence(("Bob",), ("B-PER",), "f", (1,))
    exact = np.tile(np.array([[0, 4]], dtype=np.float32), (2 * count, 1))
    found = exact.copy()
    found[:missed] = [4, 0]
    return TorchAnswer.of([sentence] * count, [sentence] * count, exact, TORCH.decoder), list(found[:, None])


@pytest.mark.parametrize(("count", "bound", "accepted"), [(40, 0.05, False), (40, 1.0, True), (4000, 0.05, True)])
def test_a_small_loss_on_too_few_sentences_does_not_serve(count: int, bound: float, accepted: bool) -> None:
    settings = VerifySettings(max_logit_delta=1e-3, max_f1_loss=0.1, max_f1_bound=bound)
    torch, found = many(count, count // 20)
    verdict = parity_verdict("int8", found, torch, settings)
    assert verdict.accepted == accepted
    # Where the share p of all mentions is missed, F1 loses p / (2 - p); p has a standard error of √(p(1 - p) / n).
    share = 0.05 + 1.645 * (0.05 * 0.95 / count) ** 0.5
    assert verdict.dev_f1_loss == pytest.approx(0.05 / 1.95)
    assert verdict.dev_f1_loss_bound == pytest.approx(share / (2 - share), rel=0.2)


def test_dev_alone_decides() -> None:
    torch, found = many(200, 190)
    swapped = [*found[200:], *found[:200]]
    loss = 1 - 2 * 10 / (2 * 10 + 190)
    for logits, accepted in ((found, False), (swapped, True)):
        verdict = parity_verdict("int8", logits, torch, SETTINGS)
        assert verdict.accepted == accepted and verdict.sentences_with_other_spans == 190
        assert (verdict.dev_f1_loss, verdict.test_f1_loss) == pytest.approx((0, loss) if accepted else (loss, 0))
        assert (verdict.dev_f1, verdict.test_f1) == pytest.approx((1, 1 - loss) if accepted else (1 - loss, 1))


def report(accepted: dict[str, bool]) -> VerifyReport:
    verdicts = {name: replace(GOOD, accepted=yes) for name, yes in accepted.items()}
    return VerifyReport.of(verdicts, dict.fromkeys(["fp32", "fp16", "int8"], 1))


@pytest.mark.parametrize("int8", [True, False])
@pytest.mark.parametrize("fp16", [True, False])
def test_without_a_gpu_fp32_is_the_first_choice_on_one(int8: bool, fp16: bool) -> None:
    found = report({"fp32 on cpu": True, "fp16 on cpu": fp16, "int8 on cpu": int8})
    assert found.by_device(ORDER) == {
        "cpu": [*(["int8"] if int8 else []), "fp32", *(["fp16"] if fp16 else [])],
        "cuda": ["fp32", *(["fp16"] if fp16 else [])],
    }
    assert found.refused == [*([] if fp16 else ["fp16"]), *([] if int8 else ["int8"])]


@pytest.mark.parametrize("cpu", [True, False])
@pytest.mark.parametrize("cuda", [True, False])
def test_each_device_serves_what_it_accepted_itself(cpu: bool, cuda: bool) -> None:
    found = report(
        {"fp32 on cpu": True, "fp16 on cpu": cpu, "int8 on cpu": True, "fp16 on cuda": cuda, "fp32 on cuda": True}
    )
    assert found.by_device(ORDER) == {
        "cpu": ["int8", "fp32", *(["fp16"] if cpu else [])],
        "cuda": [*(["fp16"] if cuda else []), "fp32"],
    }
    assert found.refused == ([] if cpu or cuda else ["fp16"])
    assert found.kept == ["fp32", *(["fp16"] if cpu or cuda else []), "int8"]
    require_fp32(found)


def test_without_fp32_there_is_no_bundle() -> None:
    report = VerifyReport.of({"fp32 on cpu": replace(GOOD, accepted=False)}, {"fp32": 1})
    with pytest.raises(FpplmError, match=r"verify: the exported graph does not .*\"dev_f1\": 0\.5"):
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
