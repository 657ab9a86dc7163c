from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from fpplm_core.evaluation.metrics import (
    MISSED,
    SPURIOUS,
    Counts,
    calibration_error,
    calibration_gaps,
    confusion,
    mention,
    right_words,
    seen_unseen,
    span_counts,
    sum_counts,
)
from fpplm_core.tagging.spans import Span, tags_from_spans, types_of

WORDS = 8
TYPES = ("PER", "LOC", "creative-work")


@st.composite
def spans_of_a_sentence(draw) -> list[Span]:
    borders = draw(st.lists(st.integers(0, WORDS), unique=True, max_size=6).map(sorted))
    kept = [pair for pair in pairwise(borders) if draw(st.booleans())]
    return [Span(start, end, draw(st.sampled_from(TYPES))) for start, end in kept]


@st.composite
def corpora(draw) -> tuple[list[list[Span]], list[list[Span]]]:
    """Gold and predicted spans of some sentences; predictions are often right."""
    gold = draw(st.lists(spans_of_a_sentence(), min_size=1, max_size=6))
    return gold, [spans if draw(st.booleans()) else draw(spans_of_a_sentence()) for spans in gold]


def counts_of(gold, predicted, kind=None) -> Counts:
    return sum_counts(span_counts(g, p, kind) for g, p in zip(gold, predicted, strict=True))


@given(corpora())
def test_scores_are_those_of_seqeval(case):
    gold, predicted = case
    if not any(gold) and not any(predicted):
        return  # seqeval has no answer
    tags = [[tags_from_spans(spans, WORDS, "IOB2") for spans in part] for part in case]
    report = classification_report(*tags, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    kinds = sorted({span.type for part in (*gold, *predicted) for span in part})
    by_kind = {kind: counts_of(gold, predicted, kind) for kind in kinds}
    for name, ours in {"micro avg": counts_of(gold, predicted), **by_kind}.items():
        theirs = report[name]
        assert ours.precision == pytest.approx(theirs["precision"])
        assert ours.recall == pytest.approx(theirs["recall"])
        assert ours.f1 == pytest.approx(theirs["f1-score"])
        assert ours.tp + ours.fn == theirs["support"]
    assert np.mean([ours.f1 for ours in by_kind.values()]) == pytest.approx(report["macro avg"]["f1-score"])


@given(corpora())
def test_types_part_the_counts(case):
    assert sum_counts(counts_of(*case, kind) for kind in TYPES) == counts_of(*case)


@given(corpora())
def test_exchanging_gold_and_predicted_exchanges_precision_and_recall(case):
    gold, predicted = case
    one, other = counts_of(gold, predicted), counts_of(predicted, gold)
    assert (one.precision, one.recall, one.f1) == (other.recall, other.precision, other.f1)


@pytest.mark.parametrize(
    ("counts", "precision", "recall", "f1"),
    [
        (Counts(0, 0, 0), 0.0, 0.0, 0.0),
        (Counts(0, 3, 0), 0.0, 0.0, 0.0),
        (Counts(0, 0, 3), 0.0, 0.0, 0.0),
        (Counts(4, 0, 0), 1.0, 1.0, 1.0),
        (Counts(3, 1, 2), 0.75, 0.6, 2 / 3),
    ],
)
def test_golden_scores(counts, precision, recall, f1):
    assert (counts.precision, counts.recall, counts.f1) == pytest.approx((precision, recall, f1))


@given(corpora())
def test_the_confusion_table_holds_every_span_once(case):
    gold, predicted = case
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for (kind, other), number in confusion(gold, predicted).items():
        table[kind][other] = number
    support = Counter(span.type for spans in gold for span in spans)
    found = Counter(span.type for spans in predicted for span in spans)
    columns = Counter()
    for row in table.values():
        columns.update(row)
    assert {kind: sum(row.values()) for kind, row in table.items() if kind != SPURIOUS} == support
    assert columns - Counter({MISSED: columns[MISSED]}) == found
    assert sum(table.get(kind, {}).get(kind, 0) for kind in TYPES) == counts_of(gold, predicted).tp
    assert MISSED not in table and MISSED not in table.get(SPURIOUS, {})


def test_golden_confusion():
    gold = [[Span(0, 2, "PER"), Span(3, 4, "LOC")], [Span(0, 1, "PER")]]
    predicted = [[Span(0, 2, "LOC"), Span(3, 5, "LOC")], [Span(0, 1, "PER")]]
    assert confusion(gold, predicted) == {
        (SPURIOUS, "LOC"): 1,
        ("LOC", MISSED): 1,
        ("PER", "LOC"): 1,
        ("PER", "PER"): 1,
    }


@given(corpora(), st.integers(0, 99), st.data())
def test_seen_and_unseen_part_the_counts(case, seed, data):
    gold, predicted = case
    sentences = np.random.default_rng(seed).choice(list("aAbB"), (len(gold), WORDS)).tolist()
    rows = zip(sentences, gold, predicted, strict=True)
    mentions = [mention(words, span) for words, wanted, found in rows for span in wanted + found]
    seen = set(data.draw(st.lists(st.sampled_from(mentions)))) if mentions else set()
    parts = seen_unseen(sentences, gold, predicted, seen)
    assert sum_counts(parts.values()) == counts_of(gold, predicted)
    wanted = Counter(mention(w, s) in seen for w, spans in zip(sentences, gold, strict=True) for s in spans)
    assert parts["seen"].tp + parts["seen"].fn == wanted[True]
    assert parts["unseen"].tp + parts["unseen"].fn == wanted[False]


def test_a_mention_is_seen_by_its_text_in_any_case_and_its_type():
    sentence = ["New", "York", "and", "YORK"]
    gold = [Span(0, 2, "LOC"), Span(3, 4, "LOC")]
    parts = seen_unseen([sentence], [gold], [gold], {("new york", "LOC"), ("york", "PER")})
    assert parts == {"seen": Counts(1, 0, 0), "unseen": Counts(1, 0, 0)}


def test_right_words_and_types():
    assert right_words([["O", "B-PER"], ["O"]], [["O", "B-LOC"], ["O"]]) == 2
    assert right_words([], []) == 0
    with pytest.raises(ValueError, match="zip"):
        right_words([["O", "O"]], [["O"]])
    assert types_of([["O", "S-PER", "B-creative-work"], ["I-PER"]]) == ["PER", "creative-work"]


def error_of(probabilities, gold):
    return calibration_error(calibration_gaps(probabilities, gold), len(gold))


def test_calibration_error_of_bins_by_hand():
    # Two bins of 15 hold words: four at 0.9, three of them right; two at 0.6, one of them right.
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.4, 0.6]] * 2)
    gold = np.array([0, 0, 0, 1, 1, -1])
    assert error_of(probabilities, gold) == pytest.approx((4 * 0.15 + 2 * 0.1) / 6)
    assert error_of(np.array([[1.0, 0.0]]), np.array([0])) == 0
    assert error_of(np.zeros((0, 2)), np.zeros(0, dtype=int)) == 0


def test_probabilities_that_say_how_often_they_are_right_are_calibrated():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.full(4, 0.5), 40000)
    drawn = (random.random((40000, 1)) < probabilities.cumsum(axis=1)).argmax(axis=1)
    assert error_of(probabilities, drawn) < 0.015
    assert error_of(probabilities**3 / (probabilities**3).sum(1, keepdims=True), drawn) > 0.05
