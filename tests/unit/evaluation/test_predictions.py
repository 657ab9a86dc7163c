"""The lines of a split's predictions, and the tables for plots."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError
from fpplm_core.evaluation.predictions import (
    CharacterSpan,
    SentencePrediction,
    logits_writer,
    prediction_writer,
    predictions_of,
    read_predictions,
    write_plots,
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
    with prediction_writer(path) as write:
        write(predictions_of([PLAIN, WITH_TEXT], [GOLD, []], [[], PREDICTED]))
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    keys = ["file", "line", "words", "gold", "predicted", "tp", "fp", "fn"]
    assert list(first) == keys and list(second) == [*keys, "text", "entities"]
    assert first["gold"] == [[0, 2, "PER"]]
    assert second["entities"][1] == {"label": "LOC", "start": 12, "end": 16}


def test_scores_documents_and_what_train_has_follow_in_their_order(tmp_path: Path) -> None:
    sentence = replace(PLAIN, document=7)
    with prediction_writer(tmp_path / "test.jsonl") as write:
        write(predictions_of([sentence], [GOLD], [PREDICTED], [[0.123456, 1.0]], {("ann lee", "PER")}))
    (line,) = map(json.loads, (tmp_path / "test.jsonl").read_text(encoding="utf-8").splitlines())
    assert list(line)[-4:] == ["document", "scores", "gold_seen", "predicted_seen"]
    assert line["document"] == 7 and line["scores"] == [0.1235, 1.0]
    assert line["gold_seen"] == [True] and line["predicted_seen"] == [True, False], "the type counts, case does not"


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
    with prediction_writer(path) as write:
        for row in rows:
            write([row])
    assert read_predictions(path) == rows


@pytest.mark.parametrize("line", [b'{"file": "a"', b'{"file": "a", "line": 1}', b"[]", b'{"file": "\xff"}'])
def test_a_line_that_is_no_prediction_is_an_error_with_its_place(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    with prediction_writer(path) as write:
        write(predictions_of([PLAIN], [GOLD], [PREDICTED]))
    path.write_bytes(path.read_bytes() + b"\n" + line)
    with pytest.raises(DataError) as caught:
        read_predictions(path)
    assert caught.value.where == f"{path}:3" and caught.value.do == "run: dvc repro"
    assert len(str(caught.value).splitlines()) == 1


def test_missing_predictions_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    with pytest.raises(DataError, match=f"{path}: made by an earlier stage, and missing; run: dvc repro"):
        read_predictions(path)


def test_plots_have_a_row_for_each_gold_span_and_each_spurious_one(tmp_path: Path) -> None:
    write_plots(tmp_path, score_spans([PLAIN], [GOLD], [PREDICTED], set()))
    confusion = (tmp_path / "confusion.csv").read_text().splitlines()
    assert confusion == ["gold,predicted", "(spurious),LOC", "PER,PER"]
    assert (tmp_path / "types.csv").read_text().splitlines() == ["type,f1", "LOC,0.000000", "PER,1.000000"]


def test_a_table_for_plots_keeps_a_name_with_comma_and_quotes(tmp_path: Path) -> None:
    odd = [Span(0, 2, 'a,"b"')]
    write_plots(tmp_path, score_spans([PLAIN], [odd], [odd], set()))
    for name, cell in (("types.csv", "type"), ("confusion.csv", "predicted")):
        with (tmp_path / name).open(newline="") as stream:
            assert [row[cell] for row in csv.DictReader(stream)] == ['a,"b"']


@given(st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=4), st.integers(1, 9))
def test_logits_in_parts_are_the_bytes_of_one_array(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]], labels: int
) -> None:
    folder = tmp_path_factory.mktemp("logits")
    random = np.random.default_rng(labels)
    rows = [[random.normal(size=(words, labels)).astype(np.float32) for words in part] for part in parts]
    with logits_writer(folder / "parts.npy", labels) as write:
        for part in rows:
            write(part)
        assert not (folder / "parts.npy").exists()
    whole = np.concatenate([np.zeros((0, labels), np.float32), *(values for part in rows for values in part)])
    np.save(folder / "whole.npy", whole)
    assert (folder / "parts.npy").read_bytes() == (folder / "whole.npy").read_bytes()


def test_what_ends_with_an_error_leaves_the_file_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="full"), logits_writer(path, 2) as write:
        write([np.zeros((1, 2), np.float32)])
        raise OSError("full")
    assert path.read_bytes() == b"before"
