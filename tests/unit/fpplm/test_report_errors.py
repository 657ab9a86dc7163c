"""What the page finds in predictions: kinds of error, boundaries, intervals, and what scores are worth."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm.report.analysis import boundaries, calibration, heat_map, type_confusion, type_intervals
from fpplm.report.tagging_errors import ERROR_KINDS, all_errors, classify_errors, error_table
from fpplm_core.evaluation.metrics import micro_f1
from fpplm_core.evaluation.predictions import SentencePrediction
from fpplm_core.tagging.spans import Span


def row(gold, predicted, words=9, line=1, **more):
    """A sentence as the predictions hold it; its counts do not matter here."""
    texts = tuple(f"w{number}" for number in range(words))
    spans = ([Span(*span) for span in part] for part in (gold, predicted))
    return SentencePrediction("t.conll", line, texts, *spans, tp=0, fp=0, fn=0, **more)


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ([], [], []),
        ([[0, 2, "A"], [2, 3, "B"]], [[0, 2, "A"], [2, 3, "B"]], []),
        ([[0, 2, "A"]], [[0, 2, "B"]], ["wrong type"]),
        ([[0, 3, "A"]], [[1, 3, "A"]], ["wrong boundaries"]),
        ([[0, 3, "A"]], [[2, 4, "B"]], ["wrong boundaries"]),
        ([], [[1, 2, "A"]], ["spurious"]),
        ([[1, 2, "A"]], [], ["missed"]),
        ([[0, 2, "A"]], [[2, 4, "A"]], ["spurious", "missed"]),  # side by side, not touching
        ([[0, 4, "A"]], [[0, 1, "A"], [1, 4, "B"]], ["wrong boundaries", "wrong boundaries"]),  # cut in two
        ([[0, 2, "A"], [2, 4, "B"]], [[0, 4, "A"]], ["wrong boundaries"]),  # two in one: neither is missed
        ([[0, 2, "A"], [4, 5, "B"]], [[0, 2, "A"], [6, 7, "B"]], ["spurious", "missed"]),
    ],
)
def test_every_error_has_its_kind(gold, predicted, kinds):
    errors = classify_errors(row(gold, predicted))
    assert [error.kind for error in errors] == kinds
    false_positives = [span for span in predicted if span not in gold]
    assert [list(error.predicted) for error in errors if error.predicted] == false_positives
    for error in errors:
        assert (error.gold is None) == (error.kind == "spurious")


def test_a_wrong_span_is_held_against_the_gold_span_that_it_shares_most_with():
    (error,) = classify_errors(row([[0, 2, "A"], [2, 6, "B"]], [[1, 6, "A"]]))
    assert error.gold == (2, 6, "B")


@st.composite
def flat_spans(draw, words=8):
    """Spans without overlap, as a tagger finds them."""
    cuts = sorted(draw(st.sets(st.integers(0, words), max_size=6)))
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    return [Span(a, b, draw(st.sampled_from("AB"))) for a, b in pairs]


@given(gold=flat_spans(), predicted=flat_spans())
def test_errors_account_for_every_wrong_span(gold, predicted):
    errors = classify_errors(row(gold, predicted))
    assert Counter(e.predicted for e in errors if e.predicted) == Counter(p for p in predicted if p not in gold)
    touched = {g for g in gold for p in predicted if g.start < p.end and p.start < g.end}
    assert {e.gold for e in errors if e.kind == "missed"} == set(gold) - touched
    assert all(e.gold[:2] == e.predicted[:2] for e in errors if e.kind == "wrong type")


def test_the_table_of_errors_has_all_that_the_browser_shows():
    sentence = row([[0, 1, "A"], [5, 6, "B"]], [[0, 1, "B"], [3, 4, "A"]], line=7, document=2, scores=[0.5, 0.25],
                   gold_seen=[True, False], predicted_seen=[False, True])  # fmt: skip
    table = error_table([row([[0, 1, "A"]], [[0, 1, "A"]]), sentence])
    assert table.counts == {"wrong type": 1, "spurious": 1, "missed": 1} and (table.sentences, table.shown) == (1, 1)
    assert table.data["types"] == ["A", "B"] and table.data["files"] == ["t.conll"]
    assert table.data["rows"] == [
        [0, 7, 2, list(sentence.words), [[0, 1, 0], [5, 6, 1]], [[0, 1, 1, 0.5], [3, 4, 0, 0.25]],
         [[0, 0, 0, 1], [2, -1, 1, 1], [3, 1, -1, 0]]]
    ]  # fmt: skip
    assert [ERROR_KINDS[number] for number, *_ in table.data["rows"][0][6]] == ["wrong type", "spurious", "missed"]


def test_predictions_of_an_earlier_version_have_errors_without_scores():
    (found,) = error_table([row([], [[0, 1, "A"]])]).data["rows"]
    assert found[2] is None and found[5] == [[0, 1, 0, None]] and found[6] == [[2, -1, 0, None]]


def test_a_large_split_is_thinned_evenly_and_counted_whole():
    sentences = [row([], [[0, 1, "A"]], line=line) for line in range(1000)]
    size = len(json.dumps(error_table(sentences).data))
    table = error_table(sentences, room=size // 10)
    assert table.counts["spurious"] == table.sentences == 1000 and 80 <= table.shown <= 125
    lines = [found[1] for found in table.data["rows"]]
    assert lines[0] < 20 and lines[-1] > 980


def test_names_of_files_are_thinned_too():
    sentences = [replace(row([], [[0, 1, "A"]]), file=f"{number}.conll") for number in range(1000)]
    table = error_table(sentences, room=10_000)
    assert table.shown == len(table.data["files"]) < 500
    assert len(json.dumps(table.data)) <= 10_000
    step = -(-1000 // table.shown)
    assert [table.data["files"][found[0]] for found in table.data["rows"]] == [s.file for s in sentences[::step]]


@pytest.mark.parametrize("every", [2, 3])
def test_the_table_fits_also_if_the_rows_that_remain_are_the_long_ones(every):
    long = replace(row([], [[0, 1, "A"]], words=1), words=("w" * 1000,))
    sentences = [row([], [[0, 1, "A"]]) if number % every else long for number in range(120)]
    room = len(json.dumps(error_table(sentences).data)) // every + 1
    table = error_table(sentences, room)
    assert len(json.dumps(table.data)) <= room and table.shown > 10
    assert error_table([long], room=100).shown == 1


def test_a_sentence_takes_as_much_room_as_its_bytes_in_the_page():
    sentences = [replace(row([], [[0, 1, "A"]], words=1), words=("語" * 100,)) for _ in range(100)]
    size = len(json.dumps(error_table(sentences).data, ensure_ascii=False).encode())
    assert size > 100 * 300 and error_table(sentences, room=size).shown == 100
    assert error_table(sentences, room=size - 1).shown == 50
    script = [replace(sentence, words=("<" * 100,)) for sentence in sentences]  # the page escapes it, with six bytes
    assert error_table(script, room=100 * 500).shown == 50


def test_unsafe_characters_are_shown_not_obeyed():
    sentence = replace(row([], [[0, 1, "\u202eA"]], words=1), words=("\x1b[31m\u2028\ud800",), file="a\u202eb.conll")
    text = json.dumps(error_table([sentence]).data, ensure_ascii=False)
    assert not set(text) & set("\x1b\u2028\u202e\ud800") and r"\\u202e" in text


def test_a_confusion_has_every_cell_and_shares_of_the_row():
    matrix = type_confusion({"(spurious)": {"B": 3}, "A": {"(missed)": 1, "A": 3}})
    assert matrix.columns == ["A", "B", "(missed)"]
    assert matrix.rows == [
        ("A", 4, [(3, 0.75), (0, 0.0), (1, 0.25)]),
        ("B", 0, [(0, 0.0), (0, 0.0), (0, 0.0)]),
        ("(spurious)", 3, [(0, 0.0), (3, 1.0), (0, 0.0)]),
    ]


def test_an_empty_matrix_divides_by_nothing():
    assert heat_map({"a": {}}, ["b"]).rows == [("a", 0, [(0, 0.0)])]


def test_boundaries_say_where_a_span_begins_and_ends_and_which_words_that_costs():
    sentences = [
        row([[2, 5, "A"]], [[3, 5, "A"]]),  # w2 left out
        row([[2, 5, "A"]], [[3, 5, "B"]]),
        row([[2, 3, "A"]], [[0, 9, "A"]]),  # far to both sides
        row([[2, 3, "A"]], [[2, 3, "B"]]),  # right boundaries
    ]
    found = boundaries([*all_errors(sentences)])
    cells = {
        (name, column): count
        for name, _, counts in found.offsets.rows
        for column, (count, _) in zip(found.offsets.columns, counts, strict=True)
        if count
    }
    assert cells == {("1 late", "right"): 2, ("2+ early", "2+ late"): 1}
    assert found.left_out == [("w2", 2)] and ("w0", 1) in found.added and ("w8", 1) in found.added


def test_the_interval_of_a_type_is_around_its_f1():
    good, bad = row([[0, 1, "A"]], [[0, 1, "A"]]), row([[0, 1, "A"]], [[0, 1, "B"]])
    low, high = type_intervals([good] * 30 + [bad] * 10, ["A"])["A"]
    assert low < micro_f1([[Span(0, 1, "A")]] * 40, [[Span(0, 1, "A")]] * 30 + [[]] * 10) < high
    assert type_intervals([good] * 9, ["A"])["A"] == (1.0, 1.0)


def test_calibration_counts_by_hand():
    sentences = [
        row([[0, 1, "A"]], [[0, 1, "A"]], scores=[0.95]),
        row([], [[0, 1, "A"]], scores=[0.91]),
        row([[3, 4, "A"]], [[0, 1, "A"]], scores=[1.0]),
        row([[0, 1, "A"]], [[0, 1, "A"]], scores=[0.0]),
    ]
    found = calibration(sentences)
    assert [(one.begin, one.spans, one.right) for one in found.bins] == [(0.0, 1, 1.0), (0.9, 3, pytest.approx(1 / 3))]
    assert found.error == pytest.approx((1 * 1 + 3 * ((0.95 + 0.91 + 1.0) / 3 - 1 / 3)) / 4)
    every, *_, highest = found.thresholds
    assert (every.spans, every.precision, every.recall, every.f1) == (
        4,
        0.5,
        pytest.approx(2 / 3),
        pytest.approx(4 / 7),
    )
    assert (highest.spans, highest.precision, highest.f1) == (1, 0.0, 0.0)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_bins_hold_every_span_and_intervals_their_share(spans):
    sentences = [row([[0, 1, "A"]], [[0, 1, "A" if right else "B"]], scores=[score]) for score, right in spans]
    found = calibration(sentences)
    assert sum(one.spans for one in found.bins) == len(spans)
    assert all(one.low - 1e-9 <= one.right <= one.high + 1e-9 and 0 <= one.score <= 1 for one in found.bins)
    assert all((one.precision is None) == (one.spans == 0) for one in found.thresholds)
    assert all(b.spans <= a.spans and b.recall <= a.recall for a, b in itertools.pairwise(found.thresholds))


@pytest.mark.parametrize("sentences", [[], [row([[0, 1, "A"]], [], scores=[])], [row([], [[0, 1, "A"]])]])
def test_without_scores_there_is_no_calibration(sentences):
    assert calibration(sentences) is None
