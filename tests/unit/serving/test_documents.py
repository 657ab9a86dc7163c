"""A tagger trained with document context: who sees whose sentences, and which F1 says so."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from fpplm_core.data.records import Sentence
from fpplm_core.export.bundle_writer import seal
from fpplm_core.export.golden import write_golden
from fpplm_core.export.parity import TorchAnswer, served_f1, verify_graphs
from fpplm_core.export.settings import VerifySettings
from fpplm_core.serving import Predictor
from tests.conftest import vocabulary
from tests.hostile_bundles import values
from tests.hostile_bundles.tiny import LABELS, make_portable, save, tagger_outputs, write_tiny_bundle

PERSON, PLACE = LABELS.index("S-PER"), LABELS.index("S-LOC")
WORDS = [("in", "London"), ("Paris",), ("London", "and"), ("Paris", "and")]
ALONE = [[(1, 2, "PER")], [], [(0, 1, "PER")], []]
PAIRED = [[(1, 2, "LOC")], [], [(0, 1, "LOC")], []]  # documents 0, 0 and 1, 1: London beside Paris is a place


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """London is a person, and a place if the window also shows Paris."""
    made = write_tiny_bundle(tmp_path / "bundle", context=8, label_lm=None)
    shape = len(vocabulary()), len(LABELS)
    own, around, open_to = (np.zeros(shape, dtype=np.float32) for _ in range(3))
    london, paris = (vocabulary().index(word) for word in ("London", "Paris"))
    own[:, 0], own[london, PERSON] = 5, 9
    around[paris, PLACE] = open_to[london, PLACE] = 10
    nodes = [
        helper.make_node("Gather", ["own", "input_ids"], ["first"]),
        helper.make_node("Gather", ["around", "input_ids"], ["each"]),
        helper.make_node("ReduceMax", ["each", "axis"], ["seen"], keepdims=1),
        helper.make_node("Gather", ["open_to", "input_ids"], ["weights"]),
        helper.make_node("Mul", ["seen", "weights"], ["more"]),
        helper.make_node("Add", ["first", "more"], ["tag_logits"]),
    ]
    arrays = {"own": own, "around": around, "open_to": open_to, "axis": np.array([1], dtype=np.int64)}
    save(made / "onnx/model.onnx", nodes, tagger_outputs()[:1], **arrays)
    return make_portable(made)


def sentences(documents: list[int | None]) -> list[Sentence]:
    """Their gold spans are those that the tagger finds if it sees a document's sentences."""
    tags = [("O", "B-LOC"), ("O",), ("B-LOC", "O"), ("O", "O")]
    rows = zip(WORDS, tags, documents, strict=True)
    return [Sentence(words, row, "f", tuple(range(1, len(words) + 1)), document) for words, row, document in rows]


def spans(tagged: list) -> list[list[tuple[int, int, str]]]:
    return [[tuple(span) for span, _ in row] for row in tagged]


def test_a_text_sees_the_texts_of_its_document_and_no_others(bundle: Path) -> None:
    predictor = Predictor.load(bundle)
    assert spans(predictor.tag(WORDS)) == ALONE == spans(predictor.tag(WORDS, [None] * 4))
    assert spans(predictor.tag(WORDS, [0, 0, 1, 1])) == PAIRED
    assert spans(predictor.tag(WORDS, [0, 1, 2, 2])) == [*ALONE[:2], *PAIRED[2:]]
    texts = [" ".join(words) for words in WORDS]
    for documents, label in ((None, "PER"), ([0, 0, 1, 1], "LOC")):
        found = predictor.predict_many(texts, documents)
        assert [[entity.label for entity in row] for row in found] == [[label], [], [label], []]
    with pytest.raises(ValueError, match="zip"):
        list(predictor.predict_many(texts, [0, 0]))


def test_the_order_of_documents_changes_no_answer(bundle: Path) -> None:
    predictor = Predictor.load(bundle)
    documents = [[("London",), ("Paris",)], [("London",)], [("and", "Paris"), ("in", "London")], [("Paris",)]]
    wanted = [spans(predictor.tag(document, [0] * len(document))) for document in documents]
    for seed in range(5):
        order = random.Random(seed).sample(range(4), 4)
        rows = [(words, number) for number in order for words in documents[number]]
        found = spans(predictor.tag([words for words, _ in rows], [number for _, number in rows]))
        assert found == [row for number in order for row in wanted[number]]


def test_golden_sentences_have_their_documents(bundle: Path) -> None:
    for documents, wanted in (([0, 0, 1, 1], PAIRED), ([None] * 4, ALONE)):
        write_golden(bundle, sentences(documents))
        rows = json.loads((bundle / "golden.json").read_text())
        assert [[tuple(span) for span in row["spans"]] for row in rows] == wanted
        seal(bundle, {"scores": {}})
        again = Predictor.load(bundle).tag([row["words"] for row in rows], [row["document"] for row in rows])
        assert spans(again) == wanted


def test_verify_does_not_join_the_last_document_of_dev_with_the_first_of_test(bundle: Path) -> None:
    """Each split numbers its documents from 0."""
    first, *rest = sentences([0, 0, 1, 1])
    predictor = Predictor.load(bundle)
    alone = predictor.logits([first.words]), predictor.logits([s.words for s in rest], [s.document for s in rest])
    dev, test = (TorchAnswer([p], np.concatenate(rows)) for p, rows in zip(([first], rest), alone, strict=True))
    settings = VerifySettings(max_logit_delta=1e-3, max_f1_loss=0, max_f1_bound=0)
    (verdict,) = verify_graphs(bundle, dev, test, settings, print)[0].values()
    assert verdict.accepted and verdict.max_logit_delta == 0
    answers = [row for rows in alone for row in predictor.decoder.spans(rows)]
    assert spans([[(span, 1.0) for span in row] for row in answers]) == [*ALONE[:2], *PAIRED[2:]]


def test_the_served_f1_is_with_documents_and_has_the_one_without_beside_it(bundle: Path) -> None:
    marked = sentences([0, 0, 1, 1])
    served = served_f1(Predictor.load(bundle), [marked])
    assert (served.f1, served.f1_without_documents) == (1.0, 0.0)
    assert served_f1(Predictor.load(bundle), [sentences([None] * 4)]).f1_without_documents is None
    values.edit_config(bundle, lambda config: config.update(context=0))
    served = served_f1(Predictor.load(bundle), [marked])
    assert (served.f1, served.f1_without_documents) == (0.0, None)
