"""A text has the same answer alone and together with others, from every graph that may serve on the CPU."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import Any, get_args

import numpy as np
import pytest

from fpplm_core.export.bundle_writer import by_device, graph_files, seal, write_graphs
from fpplm_core.export.settings import Variant
from fpplm_core.serving import Predictor, open_bundle
from tests.project import Project, altered_bundle

VARIANTS = get_args(Variant)
# Sums of a batch's matrices may be taken in another order.
TOLERANCE = {"fp32": 1e-4, "fp16": 0.01, "int8": 1e-4}
WORDS = ["the", "Angela", "Merkel", "of", "London", "a-b", "NATO", "1,000", "café", "x" * 30, ".", "中文", "\u200b"]


@pytest.fixture(scope="module")
def load(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Predictor]:
    """Loads a predictor of a bundle with all graphs, whatever verify thinks of them, small windows and context."""
    changes = {"window": 24, "stride": 4, "context": 6, "variants": by_device(VARIANTS)}
    changes["graphs"] = graph_files(changes["variants"])

    def change(config: dict[str, Any]) -> None:
        config |= changes
        config["transitions"] = [[row[0] - 20, *row[1:]] for row in config["transitions"]]  # entities everywhere

    folder = altered_bundle(trained.path / "bundle", tmp_path_factory.mktemp("all") / "bundle", change)
    config = replace(open_bundle(trained.path / "bundle").config, **changes)
    write_graphs(trained.path / "build/onnx", folder, config, None)
    seal(folder, {})
    return lambda variant, threads=None: Predictor.load(folder, "cpu", variant, threads)


@pytest.fixture(scope="module")
def sentences() -> list[list[str]]:
    chosen = random.Random(5)
    return [chosen.choices(WORDS, k=chosen.choice([1, 2, 5, 9, 40])) for _ in range(60)]


@pytest.mark.parametrize("threads", [None, 1, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_text_has_the_same_answer_alone_and_together(load, sentences, variant: str, threads: int | None) -> None:
    predictor = load(variant, threads)
    assert predictor.batch_pieces > 1
    alone = [predictor.logits([words])[0] for words in sentences]
    order = random.Random(7).sample(range(len(sentences)), len(sentences))
    shuffled = dict(zip(order, predictor.logits([sentences[number] for number in order]), strict=True))
    runs = [
        predictor.logits(sentences),
        [shuffled[number] for number in range(len(sentences))],
        list(chain.from_iterable(predictor.logits(some) for some in (sentences[:7], sentences[7:9], sentences[9:]))),
    ]
    tolerance = TOLERANCE[variant]
    for found in runs:
        for one, other in zip(alone, found, strict=True):
            np.testing.assert_allclose(other, one, rtol=0, atol=tolerance)
        assert predictor.decoder.spans(found) == predictor.decoder.spans(alone)


def test_a_sentence_sees_its_document_and_no_other(load, sentences) -> None:
    predictor = load("int8")
    documents = [number // 3 for number in range(len(sentences))]
    together, without = predictor.logits(sentences, documents), predictor.logits(sentences)
    assert not all(map(np.array_equal, together, without))
    for first in range(0, len(sentences), 3):
        some = slice(first, first + 3)
        for one, other in zip(predictor.logits(sentences[some], documents[some]), together[some], strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE["int8"])


def test_a_stream_of_texts_gives_what_each_text_gives(load, sentences, monkeypatch) -> None:
    monkeypatch.setattr("fpplm_core.serving.entities.CHUNK", 7)
    predictor = load("int8")
    texts = [" ".join(words) for words in sentences]
    found = list(predictor.predict_many(texts))
    assert found == [predictor.predict(text) for text in texts]
    assert any(found)
