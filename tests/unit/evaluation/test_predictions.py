"""The lines of a split's predictions, and the tables for plots."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fpplm_core.data.records import Sentence
from fpplm_core.evaluation.predictions import (
    CharacterSpan,
    SentencePrediction,
    predictions_of,
    read_predictions,
    write_plots,
    write_predictions,
)
from fpplm_core.evaluation.scorer import score_spans
from fpplm_core.tagging.spans import Span

WORDS = ("Ann", "Lee", "of", "Oslo")
PLAIN = Sentence(WORDS, ("O",) * 4, "a.conll", (3, 4, 5, 6))
WITH_TEXT = Sentence(
    WORDS, ("O",) * 4, "a.txt", (1, 1, 1, 1), None, "Ann Lee, of Oslo", ((0, 3), (4, 7), (9, 11), (12, 16))
)
GOLD = [Span(0, 2, "PER")]
PREDICTED = [Span(0, 2, "PER"), Span(3, 4, "LOC")]


def test_a_prediction_has_counts_and_where_the_text_is_known_entities_in_characters_of_it() -> None:
    plain, with_text = predictions_of([PLAIN, WITH_TEXT], [GOLD, GOLD], [PREDICTED, PREDICTED])
    assert (plain.line, plain.tp, plain.fp, plain.fn) == (3, 1, 1, 0)
    assert plain.text is None and plain.entities is None
    assert with_text.entities == [CharacterSpan("PER", 0, 7), CharacterSpan("LOC", 12, 16)]
    assert [WITH_TEXT.text[e.start : e.end] for e in with_text.entities] == ["Ann Lee", "Oslo"]


def test_the_keys_of_a_line_and_their_order_are_a_contract(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    write_predictions(path, predictions_of([PLAIN, WITH_TEXT], [GOLD, []], [[], PREDICTED]))
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    keys = ["file", "line", "words", "gold", "predicted", "tp", "fp", "fn"]
    assert list(first) == keys and list(second) == [*keys, "text", "entities"]
    assert first["gold"] == [[0, 2, "PER"]]
    assert second["entities"][1] == {"label": "LOC", "start": 12, "end": 16}


spans = st.lists(st.builds(Span, st.integers(0, 3), st.integers(1, 4), st.text(min_size=1, max_size=3)), max_size=3)
entities = st.lists(st.builds(CharacterSpan, st.text(), st.integers(0, 9), st.integers(0, 9)), max_size=2)
predictions = st.builds(
    SentencePrediction,
    st.text(max_size=5),
    st.integers(1, 10**6),
    st.lists(st.text(max_size=4), max_size=4).map(tuple),
    spans,
    spans,
    *[st.integers(0, 9)] * 3,
    text=st.none() | st.text(),
    entities=st.none()
    | st.lists(st.builds(CharacterSpan, st.text(), st.integers(0, 9), st.integers(0, 9)), max_size=2),
)


@given(rows=st.lists(predictions, min_size=1, max_size=4))
def test_what_is_written_is_read_again(
    rows: list[SentencePrediction], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("predictions") / "test.jsonl"
    write_predictions(path, rows)
    assert read_predictions(path) == rows


@pytest.mark.parametrize("line", ['{"file": "a"', '{"file": "a", "line": 1}', "[]"])
def test_a_line_that_is_no_prediction_is_an_error(line: str, tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(ValidationError):
        read_predictions(path)


def test_plots_have_a_row_for_each_gold_span_and_each_spurious_one(tmp_path: Path) -> None:
    write_plots(tmp_path, score_spans([PLAIN], [GOLD], [PREDICTED], set(), resamples=100))
    confusion = (tmp_path / "confusion.csv").read_text().splitlines()
    assert confusion == ["gold,predicted", "(spurious),LOC", "PER,PER"]
    assert (tmp_path / "types.csv").read_text().splitlines() == ["type,f1", "LOC,0.000000", "PER,1.000000"]


def test_a_table_for_plots_keeps_a_name_with_comma_and_quotes(tmp_path: Path) -> None:
    odd = [Span(0, 2, 'a,"b"')]
    write_plots(tmp_path, score_spans([PLAIN], [odd], [odd], set(), resamples=10))
    for name, cell in (("types.csv", "type"), ("confusion.csv", "predicted")):
        with (tmp_path / name).open(newline="") as stream:
            assert [row[cell] for row in csv.DictReader(stream)] == ['a,"b"']
