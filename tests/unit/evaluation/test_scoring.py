import json
import warnings
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from fpplm_core.data.records import Sentence
from fpplm_core.errors import FpplmError
from fpplm_core.evaluation.scorer import SplitScorer, compare_with_seqeval, score_spans
from fpplm_core.evaluation.scores import mentions
from fpplm_core.evaluation.slices import Slices
from fpplm_core.evaluation.slicing import SliceScorer
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.spans import Span, tags_from_spans

GOLD = [[Span(0, 2, "PER"), Span(3, 4, "creative-work")], [Span(0, 1, "PER")], []]
PREDICTED = [[Span(0, 2, "PER"), Span(3, 5, "creative-work")], [], [Span(1, 2, "LOC")]]
WORDS = ("Ann", "Lee", "read", "Emma", "twice")
SENTENCES = [Sentence(WORDS, ("O",) * 5, "f", (1, 2, 3, 4, 5))] * 3


def test_golden_scores():
    found = score_spans(SENTENCES, GOLD, PREDICTED, {("ann lee", "PER")})
    assert (found.precision, found.recall, found.f1) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert {kind: row.support for kind, row in found.types.items()} == {"LOC": 0, "PER": 2, "creative-work": 1}
    assert found.types["PER"].f1 == pytest.approx(2 / 3)
    assert found.macro_f1 == pytest.approx(2 / 9)
    assert found.f1_low <= found.f1 <= found.f1_high
    assert (found.seen_f1, found.seen_support, found.unseen_f1, found.unseen_support) == (1.0, 1, 0.0, 2)
    assert found.token_accuracy == pytest.approx(12 / 15)
    assert (found.sentences, found.words) == (3, 15)


@pytest.mark.parametrize("gold", [GOLD, [[], [], []]])
@pytest.mark.parametrize("predicted", [PREDICTED, [[], [], []]])
def test_scores_are_numbers_that_json_has(gold, predicted):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = score_spans(SENTENCES, gold, predicted, set())
    assert json.loads(json.dumps(asdict(found), allow_nan=False)) == asdict(found)
    assert all(np.isfinite(getattr(found, name)) for name in ("f1", "macro_f1", "f1_low", "f1_high", "seen_f1"))


def test_an_f1_that_disagrees_with_seqeval_is_an_error():
    compare_with_seqeval(SENTENCES, GOLD, PREDICTED, 1 / 3)
    with pytest.raises(FpplmError, match="disagree with seqeval"):
        compare_with_seqeval(SENTENCES, GOLD, PREDICTED, 1 / 3 + 1e-6)


SPANS = st.lists(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("ABC")), max_size=4), min_size=1, max_size=8)


@given(SPANS, st.randoms(use_true_random=False))
def test_scores_are_those_of_seqeval_to_the_bit(rows, random):
    """Spans of one word, of which the predicted ones leave out, move and rename some."""
    gold = [[Span(at, at + 1, kind) for at, kind in sorted(dict(row).items())] for row in rows]
    predicted = [[s._replace(type=random.choice("ABCD")) for s in row if random.random() < 0.8] for row in gold]
    sentences = [Sentence(WORDS, ("O",) * 5, "f", (1, 2, 3, 4, 5))] * len(gold)
    if not any(gold) and not any(predicted):
        return
    found = score_spans(sentences, gold, predicted, set())
    tags = [[tags_from_spans(row, 5, "IOB2") for row in part] for part in (gold, predicted)]
    report = classification_report(*tags, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    rows = {**found.types, "micro avg": found}
    for name, row in rows.items():
        official = report[name]
        assert (row.f1, row.precision, row.recall) == tuple(official[k] for k in ("f1-score", "precision", "recall"))
    assert found.macro_f1 == report["macro avg"]["f1-score"]
    assert list(found.types) == [name for name in report if not name.endswith(" avg")]
    compare_with_seqeval(sentences, gold, predicted, found.f1)


@given(SPANS, st.integers(1, 8), st.integers(0, 99))
def test_parts_have_the_scores_of_the_whole(rows, size, seed):
    """Only the sum of the confidences may differ, in its last bits."""
    random = np.random.default_rng(seed)
    labels = ["O", *(f"S-{kind}" for kind in "ABC"), "B-A", "E-A"]
    gold = [[Span(at, at + 1, kind) for at, kind in sorted(dict(row).items())] for row in rows]
    sentences = [Sentence(WORDS, tuple(tags_from_spans(row, 5, "IOB2")), "f", (1, 2, 3, 4, 5)) for row in gold]
    logits = [random.normal(size=(5, len(labels))).astype(np.float32) for _ in gold]
    predicted = SpanDecoder.of_labels(labels).spans(logits)

    def scores(parts: list[slice]) -> dict[str, object]:
        scorer = SplitScorer({("ann", "A")}, labels, SliceScorer(Slices(), set(), {}))
        for part in parts:
            scorer.add(sentences[part], gold[part], predicted[part], logits[part], 5 * len(gold[part]))
        return asdict(scorer.scores(3))

    whole = scores([slice(0, None)])
    parted = scores([slice(start, start + size) for start in range(0, len(gold), size)])
    assert parted.pop("calibration_error") == pytest.approx(whole.pop("calibration_error"))
    assert parted == whole and whole["coverage"] == 1.0
    assert whole["f1"] == score_spans(sentences, gold, predicted, set()).f1


def test_mentions_are_those_of_the_gold_tags():
    sentence = Sentence(("New", "York", "won"), ("B-ORG", "I-ORG", "O"), "f", (1, 2, 3))
    assert mentions([sentence]) == {("new york", "ORG")}


ODD = ("-X", "X", "--X", "micro avg", "_", "x y", "a,b")


def test_names_of_types_are_no_more_than_names():
    """seqeval alone takes -X for X, and has rows of its own such as `micro avg`."""
    words = tuple(f"w{n}" for n in range(len(ODD)))
    sentence = Sentence(words, ("O",) * len(ODD), "a.conll", tuple(range(1, len(ODD) + 1)))
    gold = [Span(n, n + 1, kind) for n, kind in enumerate(ODD)]
    predicted = [gold[0]._replace(type="X"), *gold[1:]]
    found = score_spans([sentence], [gold], [predicted], set())
    assert list(found.types) == sorted(ODD)
    assert (found.types["-X"].f1, found.types["micro avg"].f1, found.types["_"].f1) == (0, 1, 1)
    assert found.types["X"].precision == 0.5
    assert found.f1 == pytest.approx(1 - 1 / len(ODD))
