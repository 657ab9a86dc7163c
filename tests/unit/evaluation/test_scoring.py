import json
import warnings
from dataclasses import asdict

import numpy as np
import pytest

from fpplm_core.data.records import Sentence
from fpplm_core.errors import FpplmError
from fpplm_core.evaluation import scores
from fpplm_core.evaluation.metrics import span_counts
from fpplm_core.tagging.spans import Span

GOLD = [[Span(0, 2, "PER"), Span(3, 4, "creative-work")], [Span(0, 1, "PER")], []]
PREDICTED = [[Span(0, 2, "PER"), Span(3, 5, "creative-work")], [], [Span(1, 2, "LOC")]]
WORDS = ("Ann", "Lee", "read", "Emma", "twice")
SENTENCES = [Sentence(WORDS, ("O",) * 5, "f", (1, 2, 3, 4, 5))] * 3


def test_golden_scores():
    found = scores.score_spans(SENTENCES, GOLD, PREDICTED, {("ann lee", "PER")}, resamples=100)
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
        found = scores.score_spans(SENTENCES, gold, predicted, set(), resamples=100)
    assert json.loads(json.dumps(asdict(found), allow_nan=False)) == asdict(found)
    assert all(np.isfinite(getattr(found, name)) for name in ("f1", "macro_f1", "f1_low", "f1_high", "seen_f1"))


def test_counts_that_disagree_with_seqeval_are_an_error(monkeypatch):
    monkeypatch.setattr(scores, "span_counts", lambda gold, predicted: span_counts(gold, predicted)._replace(fp=9))
    with pytest.raises(FpplmError, match="disagree with seqeval"):
        scores.score_spans(SENTENCES, GOLD, PREDICTED, set(), resamples=100)


def test_mentions_are_those_of_the_gold_tags():
    sentence = Sentence(("New", "York", "won"), ("B-ORG", "I-ORG", "O"), "f", (1, 2, 3))
    assert scores.mentions([sentence]) == {("new york", "ORG")}


ODD = ("-X", "X", "--X", "micro avg", "_", "x y", "a,b")


def test_names_of_types_are_no_more_than_names():
    """seqeval alone takes -X for X, and has rows of its own such as `micro avg`."""
    words = tuple(f"w{n}" for n in range(len(ODD)))
    sentence = Sentence(words, ("O",) * len(ODD), "a.conll", tuple(range(1, len(ODD) + 1)))
    gold = [Span(n, n + 1, kind) for n, kind in enumerate(ODD)]
    predicted = [gold[0]._replace(type="X"), *gold[1:]]
    found = scores.score_spans([sentence], [gold], [predicted], set(), resamples=10)
    assert list(found.types) == sorted(ODD)
    assert (found.types["-X"].f1, found.types["micro avg"].f1, found.types["_"].f1) == (0, 1, 1)
    assert found.types["X"].precision == 0.5
    assert found.f1 == pytest.approx(1 - 1 / len(ODD))
