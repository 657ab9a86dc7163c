"""The verdict on an exported graph, and which graphs a bundle gets."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fpplm_core.data.records import Sentence
from fpplm_core.data.windows import MOST_EXPORTED_LABELS
from fpplm_core.errors import BundleError, FpplmError
from fpplm_core.export.bundle_writer import by_device, config_json, json_with_rows, seal
from fpplm_core.export.parity import TorchAnswer, compare_logits, parity_verdict, verify_graphs
from fpplm_core.export.settings import VerifySettings
from fpplm_core.export.verdicts import VariantVerdict, VerifyReport, require_fp32
from fpplm_core.serving import Predictor
from fpplm_core.serving.bundle import CONFIG, LIMITS
from fpplm_core.serving.config import BundleConfig
from fpplm_core.tagging.decoder import SpanDecoder
from tests.hostile_bundles.tiny import write_tiny_bundle

LABELS = ["O", "S-PER"]
SETTINGS = VerifySettings(max_logit_delta=1e-3, max_f1_loss=0.1, max_f1_bound=0.9)
SENTENCES = [
    Sentence(("Ann", "ran"), ("B-PER", "O"), "f", (1, 2)),
    Sentence(("Bob",), ("B-PER",), "f", (4,)),
]
LOGITS = np.array([[0, 4], [4, 0], [0, 4]], dtype=np.float32)  # both mentions, and nothing else
TORCH = TorchAnswer([SENTENCES], LOGITS)
EMPTY = TorchAnswer([], LOGITS[:0])
GOOD = VariantVerdict(1e-5, 0, 0.5, 0.0, 0.0, 0.0, 0.5, 0.0, accepted=True)
ORDER = {"cpu": ["int8", "fp32", "fp16"], "cuda": ["fp16", "fp32"]}


def logits(changes: dict[tuple[int, int], float]) -> list[np.ndarray]:
    changed = LOGITS.copy()
    for place, value in changes.items():
        changed[place] += value
    return np.split(changed, [2])


class Stub:
    """Answers the sentences in order with the given logits, whatever the sentences are."""

    decoder = SpanDecoder.of_labels(LABELS)

    def __init__(self, rows: list[np.ndarray]) -> None:
        self.rows = iter(rows)

    def logits(self, sentences: list[tuple[str, ...]], documents: list[object]) -> list[np.ndarray]:
        return list(islice(self.rows, len(sentences)))


def verdict_on(
    variant: str,
    rows: list[np.ndarray],
    settings: VerifySettings = SETTINGS,
    dev: TorchAnswer = TORCH,
    test: TorchAnswer = EMPTY,
) -> VariantVerdict:
    """The verdict on a graph with these logits for the sentences of dev and then of test."""
    stub = Stub(rows)
    return parity_verdict(variant, compare_logits(stub, dev), compare_logits(stub, test), settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("parts", [[SENTENCES], [SENTENCES[:1], SENTENCES[1:]]])
def test_the_logits_of_all_sentences_are_parted_by_their_words(parts: list[list[Sentence]]) -> None:
    answer = TorchAnswer(parts, LOGITS)
    assert [[len(values) for values in rows] for _, rows in answer] == ([[2, 1]] if len(parts) == 1 else [[2], [1]])
    assert np.array_equal(np.concatenate([values for _, rows in answer for values in rows]), LOGITS)


@pytest.mark.parametrize("rows", [0, 1, 2, 4])
@pytest.mark.parametrize("parts", [[SENTENCES], [SENTENCES[:1], SENTENCES[1:]]])
def test_logits_of_another_split_are_an_error(parts: list[list[Sentence]], rows: int) -> None:
    with pytest.raises(FpplmError, match=rf"not those of the split, got {rows} for (at least )?[23] words"):
        list(TorchAnswer(parts, np.zeros((rows, 2), dtype=np.float32)))


def test_parts_give_the_verdict_of_the_whole() -> None:
    found = logits({(0, 0): 0.5, (2, 0): 9.0})
    parted = TorchAnswer([SENTENCES[:1], SENTENCES[1:]], LOGITS)
    assert verdict_on("int8", found, dev=parted) == verdict_on("int8", found)


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
    verdict = verdict_on(variant, logits(changes))
    assert verdict.accepted == accepted
    assert verdict.dev_f1_loss == pytest.approx(1.0 - verdict.dev_f1)
    assert verdict.max_logit_delta == pytest.approx(max(map(abs, changes.values()), default=0.0), rel=1e-3)


def test_a_variant_that_finds_more_than_torch_has_a_negative_loss_and_serves() -> None:
    half_blind = TorchAnswer([SENTENCES], np.concatenate(logits({(2, 0): 9.0})))
    verdict = verdict_on("int8", logits({}), dev=half_blind)
    assert verdict.dev_f1_loss < 0 and verdict.accepted and verdict.sentences_with_other_spans == 1


def many(count: int, missed: int) -> tuple[dict[str, TorchAnswer], list[np.ndarray]]:
    """Torch finds the mention of each of `count` sentences of dev, and of test; a graph misses `missed` of dev's."""
    sentence = Sentence(("Bob",), ("B-PER",), "f", (1,))
    exact = np.tile(np.array([[0, 4]], dtype=np.float32), (count, 1))
    found = np.concatenate([exact, exact])
    found[:missed] = [4, 0]
    return {split: TorchAnswer([[sentence] * count], exact) for split in ("dev", "test")}, list(found[:, None])


@pytest.mark.parametrize(("count", "bound", "accepted"), [(40, 0.05, False), (40, 1.0, True), (4000, 0.05, True)])
def test_a_small_loss_on_too_few_sentences_does_not_serve(count: int, bound: float, accepted: bool) -> None:
    settings = VerifySettings(max_logit_delta=1e-3, max_f1_loss=0.1, max_f1_bound=bound)
    torch, found = many(count, count // 20)
    verdict = verdict_on("int8", found, settings, **torch)
    assert verdict.accepted == accepted
    # Where the share p of all mentions is missed, F1 loses p / (2 - p); p has a standard error of √(p(1 - p) / n).
    share = 0.05 + 1.645 * (0.05 * 0.95 / count) ** 0.5
    assert verdict.dev_f1_loss == pytest.approx(0.05 / 1.95)
    assert verdict.dev_f1_loss_high == pytest.approx(share / (2 - share), rel=0.2)


@pytest.mark.parametrize(("count", "accepted"), [(40, True), (400, True), (4000, False)])
def test_a_loss_above_the_limit_does_not_serve_unless_it_may_be_chance(count: int, accepted: bool) -> None:
    """A twentieth of the mentions is missed: F1 loses 2.6 points, where 2 are allowed."""
    settings = VerifySettings(max_logit_delta=1e-3, max_f1_loss=0.02, max_f1_bound=1.0)
    torch, found = many(count, count // 20)
    verdict = verdict_on("int8", found, settings, **torch)
    assert verdict.accepted == accepted
    share = 0.05 - 1.645 * (0.05 * 0.95 / count) ** 0.5
    assert verdict.dev_f1_loss_low == pytest.approx(max(0, share / (2 - share)), abs=0.003)


def test_dev_alone_decides() -> None:
    torch, found = many(200, 190)
    swapped = [*found[200:], *found[:200]]
    loss = 1 - 2 * 10 / (2 * 10 + 190)
    for logits, accepted in ((found, False), (swapped, True)):
        verdict = verdict_on("int8", logits, **torch)
        assert verdict.accepted == accepted and verdict.sentences_with_other_spans == 190
        assert (verdict.dev_f1_loss, verdict.test_f1_loss) == pytest.approx((0, loss) if accepted else (loss, 0))
        assert (verdict.dev_f1, verdict.test_f1) == pytest.approx((1, 1 - loss) if accepted else (1 - loss, 1))


def report(accepted: dict[str, bool]) -> VerifyReport:
    verdicts = {name: replace(GOOD, accepted=yes) for name, yes in accepted.items()}
    return VerifyReport.of(verdicts, dict.fromkeys(["fp32", "fp16", "int8"], 1), {})


@pytest.mark.parametrize("int8", [True, False])
@pytest.mark.parametrize("fp16", [True, False])
def test_without_a_gpu_fp32_is_the_first_choice_on_one(int8: bool, fp16: bool) -> None:
    found = report({"fp32 on cpu": True, "fp16 on cpu": fp16, "int8 on cpu": int8})
    assert found.by_device(ORDER) == {
        "cpu": [*(["int8"] if int8 else []), "fp32", *(["fp16"] if fp16 else [])],
        "cuda": ["fp32", *(["fp16"] if fp16 else [])],
    }
    assert found.refused == [*([] if fp16 else ["fp16"]), *([] if int8 else ["int8"])]


def test_a_device_on_which_every_graph_failed_serves_none() -> None:
    verdicts = {f"{variant} on cpu": GOOD for variant in ("fp32", "fp16", "int8")}
    found = VerifyReport.of(verdicts, dict.fromkeys(["fp32", "fp16", "int8"], 1), {
        "fp32 on cuda": "out of memory", "fp16 on cuda": "out of memory"
    })  # fmt: skip
    assert found.by_device(ORDER) == {"cpu": ["int8", "fp32", "fp16"], "cuda": []}


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


def answer_of(bundle: Path) -> TorchAnswer:
    """Sentences, and the float32 graph's own logits as torch's."""
    rows = Predictor.load(bundle, "cpu", "fp32").logits([s.words for s in SENTENCES], [None, None])
    return TorchAnswer([SENTENCES], np.concatenate(rows))


def spoil(graph: Path) -> None:
    """Makes all numbers that a graph answers infinite."""
    model = onnx.load(graph)
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype == np.float32:
            constant.CopyFrom(numpy_helper.from_array(np.full_like(values, np.inf), constant.name))
    onnx.save(model, graph)


@pytest.mark.parametrize("spoiled", ["int8", "fp32"])
def test_a_graph_that_fails_is_left_out_unless_it_is_fp32(tmp_path: Path, spoiled: str) -> None:
    files = {"fp32": "onnx/model.onnx", "int8": "onnx/model_quantized.onnx"}
    bundle = write_tiny_bundle(tmp_path / "bundle", variants={"cpu": ["int8", "fp32"]}, graphs=files)
    shutil.copyfile(bundle / files["fp32"], bundle / files["int8"])
    seal(bundle, {})
    answer = answer_of(bundle)
    spoil(bundle / files[spoiled])
    seal(bundle, {})
    measured: list[str] = []
    arguments = bundle, answer, answer, SETTINGS, lambda predictor: measured.append(predictor.variant)
    if spoiled == "fp32":
        with pytest.raises(BundleError, match="not finite"):
            verify_graphs(*arguments)
        return
    verdicts, failures = verify_graphs(*arguments)
    assert failures == {"int8 on cpu": "the graph gives numbers that are not finite"}
    assert list(verdicts) == ["fp32 on cpu"] and measured == ["fp32"]
    found = VerifyReport.of(verdicts, dict.fromkeys(files, 1), failures)
    assert found.refused == ["int8"] and found.by_device(ORDER)["cpu"] == ["fp32"]


def test_without_fp32_there_is_no_bundle() -> None:
    report = VerifyReport.of({"fp32 on cpu": replace(GOOD, accepted=False)}, {"fp32": 1}, {})
    with pytest.raises(FpplmError, match=r"verify: the exported graph does not .*\"dev_f1\": 0\.5"):
        require_fp32(report)


def test_the_trial_of_the_label_language_model_comes_last_in_the_file() -> None:
    report = VerifyReport.of({"fp32 on cpu": GOOD}, {"fp32": 1}, {})
    assert list(asdict(report)) == ["variants", "bytes", "refused", "served", "clients", "failures", "label_lm"]


def test_the_transitions_of_the_most_labels_fit_into_a_bundle() -> None:
    """A row takes one line; those of learned scores are the longest."""
    rows = np.random.default_rng(1).normal(0, 0.5, (17, MOST_EXPORTED_LABELS + 1)).astype(np.float32).tolist()
    values = {"labels": ["O", "[\n1,\n2]"], "fpplm": {"transitions": rows, "none": []}}
    text = json_with_rows(values)
    assert json.loads(text) == values and text.count("\n") < 30
    assert len(text) / 17 * (MOST_EXPORTED_LABELS + 1) < LIMITS[CONFIG]


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
