"""Which sentences are in a slice, and the scores of slices: sums, seqeval on the part alone, intervals, columns."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from fpplm_core.data.columns import open_column
from fpplm_core.data.notes import Notes
from fpplm_core.data.records import Sentence
from fpplm_core.data.settings import DataSettings
from fpplm_core.data.splits import read_file
from fpplm_core.errors import DataError
from fpplm_core.evaluation.metrics import seen_unseen, span_counts
from fpplm_core.evaluation.scorer import score_spans
from fpplm_core.evaluation.scores import gold_spans
from fpplm_core.evaluation.slices import Slice, Slices
from fpplm_core.evaluation.slicing import SliceScorer, members_of, open_columns, slice_counts
from fpplm_core.params import load
from fpplm_core.tagging.spans import Span, tags_from_spans

ROOT = Path(__file__).resolve().parents[3]
SEEN = {("alpha", "A"), ("βeta", "B"), ("字", "C")}
WORDS = st.sampled_from(["Alpha", "βeta", "字", "カ", "and", "1999", "?", "\U0001f600", "e\u0301"])


@st.composite
def corpora(draw: Any) -> tuple[list[Sentence], list[list[Span]], list[list[Span]]]:
    """Sentences of several files and documents, with gold spans of a word and predictions that differ from them."""
    sentences, gold, predicted = [], [], []
    for number in range(draw(st.integers(1, 12))):
        words = tuple(draw(st.lists(WORDS, min_size=1, max_size=6)))
        spans = st.dictionaries(st.integers(0, len(words) - 1), st.sampled_from("ABC"), max_size=3)
        sides = [[Span(at, at + 1, kind) for at, kind in sorted(draw(spans).items())] for _ in range(2)]
        file = f"data/{draw(st.sampled_from(['news', 'web']))}.conll"
        tags = tuple(tags_from_spans(sides[0], len(words), "IOB2"))
        lines = tuple(range(number * 10 + 1, number * 10 + 1 + len(words)))
        sentences.append(Sentence(words, tags, file, lines, draw(st.none() | st.integers(0, 2))))
        gold.append(sides[0])
        predicted.append(sides[1])
    return sentences, gold, predicted


def slices(**conditions: dict[str, Any]) -> Slices:
    return Slices(min_support=2, slices={name: Slice(**one) for name, one in conditions.items()})


def scored(given: Slices, *rows: Any, size: int = 99, columns: Any = None) -> dict[str, Any]:
    scorer = SliceScorer(given, SEEN, columns or {})
    for start in range(0, len(rows[0]), size):
        scorer.add(*(row[start : start + size] for row in rows))
    return scorer.scores()


PARTITIONS = [
    slices(short={"max_words": 3}, long={"min_words": 4}),
    slices(news={"source": "*news*"}, web={"source": "data/web.conll"}),
    slices(seen={"mentions": "seen"}, unseen={"mentions": "unseen"}),
    slices(digits={"regex": r"\d"}, none={"regex": r"^\D*$"}),
]


@given(corpora(), st.sampled_from(PARTITIONS))
def test_the_counts_of_a_partition_add_up_to_those_of_the_whole(case, partition):
    sentences, gold, predicted = case
    members = members_of(partition, sentences, {})
    counts = slice_counts(partition, members, sentences, gold, predicted, SEEN)
    whole = np.array([span_counts(g, p) for g, p in zip(gold, predicted, strict=True)])
    assert (sum(table.sum(axis=0) for table in counts.values()) == whole.sum(axis=0)).all()
    if "seen" not in counts:
        assert (np.sum([*members.values()], axis=0) == 1).all()


@given(corpora(), st.sampled_from(PARTITIONS[:2] + PARTITIONS[3:]))
def test_the_scores_of_a_slice_are_those_of_seqeval_on_its_sentences_alone(case, partition):
    sentences, gold, predicted = case
    members = members_of(partition, sentences, {})
    for name, row in scored(partition, *case).items():
        rows = np.flatnonzero(members[name])
        own = [[side[at] for at in rows] for side in (gold, predicted)]
        alone = score_spans([sentences[at] for at in rows], *own, SEEN) if len(rows) else None
        assert row.sentences == len(rows) and row.decides == (row.support >= 2)
        assert row.support == sum(map(len, own[0]))
        if alone is not None:
            assert (row.f1, row.precision, row.recall) == (alone.f1, alone.precision, alone.recall)
        if any(own[0]) or any(own[1]):
            tags = [
                [tags_from_spans(spans, len(sentences[at].words), "IOB2") for at, spans in zip(rows, side, strict=True)]
                for side in own
            ]
            report = classification_report(*tags, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
            official = report["micro avg"]
            assert (row.f1, row.precision, row.recall) == tuple(
                official[k] for k in ("f1-score", "precision", "recall")
            )


@given(corpora())
def test_seen_and_unseen_mentions_are_those_of_the_scores_of_the_whole(case):
    found, whole = scored(PARTITIONS[2], *case), seen_unseen([s.words for s in case[0]], *case[1:], SEEN)
    for name, row in found.items():
        assert (row.precision, row.recall) == (whole[name].precision, whole[name].recall)
        assert row.support == whole[name].tp + whole[name].fn


@given(corpora(), st.integers(1, 12), st.sampled_from(PARTITIONS))
def test_parts_give_to_the_bit_what_the_whole_gives(case, size, partition):
    assert scored(partition, *case, size=size) == scored(partition, *case)


@given(corpora())
def test_conditions_of_one_slice_are_all_met_and_slices_may_overlap(case):
    sentences = case[0]
    given = slices(
        both={"min_words": 2, "regex": "and"},
        two={"min_words": 2},
        word={"regex": "and"},
        first={"document": [0, 2]},
        all={"min_words": 1},
        none={"min_words": 1000},
    )
    found = members_of(given, sentences, {})
    assert (found["both"] == (found["two"] & found["word"])).all()
    assert found["all"].all() and not found["none"].any()
    assert found["first"].tolist() == [s.document in (0, 2) for s in sentences]
    assert found["word"].tolist() == ["and" in " ".join(s.words) for s in sentences]
    empty = scored(given, *case)["none"]
    assert (empty.f1, empty.f1_low, empty.f1_high, empty.support, empty.sentences, empty.decides) == (
        0,
        0,
        0,
        0,
        0,
        False,
    )


@pytest.mark.parametrize(
    ("words", "scripts"),
    [
        (("Alpha", "1"), {"Latin"}),
        (("Alpha", "β"), {"Latin", "Greek", "mixed"}),
        (("字", "カ"), {"Han", "Kana", "mixed"}),
        (("1999", "?"), set()),
        (("e\u0301",), {"Latin"}),
        (("ⲁ",), {"other"}),
    ],
)
def test_scripts_are_those_of_the_letters(words, scripts):
    names = ["Latin", "Greek", "Han", "Kana", "other", "mixed"]
    given = slices(**{name: {"script": name} for name in names}, any={"script": names})
    row = [Sentence(words, ("O",) * len(words), "f", tuple(range(1, len(words) + 1)))]
    found = members_of(given, row, {})
    assert {name for name in names if found[name][0]} == scripts and found["any"][0] == bool(scripts)


def test_an_expression_that_a_backtracking_search_would_never_end_takes_no_time():
    given = slices(catastrophe={"regex": "^(a+)+$"}, alternatives={"regex": "(a|a)*b$"})
    row = [Sentence(("a" * 50_000 + "!",), ("O",), "f", (1,))] * 20
    assert not any(mask.any() for mask in members_of(given, row, {}).values())


def test_memory_does_not_grow_with_the_split():
    """Ten times as many sentences need no more than the first tenth."""
    given = slices(**{f"s{n}": {"min_words": 1 + n % 5} for n in range(10)})
    part = [Sentence(("Alpha",) * 5, ("O",) * 5, "f", (1, 2, 3, 4, 5))] * 1000
    spans = [[Span(n % 5, n % 5 + 1, "A")] for n in range(1000)]
    scorer = SliceScorer(given, SEEN, {})
    tracemalloc.start()
    sizes = []
    for _ in range(10):
        scorer.add(part, spans, spans)
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[-1] - sizes[0] < 50_000 and scorer.scores()["s0"].sentences == 10_000


COLUMNS = "\n".join(
    ["-DOCSTART-\t-X-\tO", "", *("Ann\tPROPN\tB-PER", "sings\tVERB\tO", "", "no\tDET\tO", "", "Bob\tPROPN\tB-PER", "")]
)


def data(folder: Path, **changes: Any) -> DataSettings:
    settings = load(ROOT / "params.yaml").data
    files = {"path": str(folder), "train": "train.conll", "dev": "dev.conll", "test": "test.conll"}
    return settings.model_copy(update=files | changes)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.conll").write_text(COLUMNS)
    return tmp_path


def sentences_in(settings: DataSettings, split: str) -> list[Sentence]:
    from fpplm_core.data.notes import Notes

    return list(read_file(Path(settings.path) / f"{split}.conll", settings, Notes()))


@pytest.mark.parametrize("column", [1, -2])
def test_a_column_gives_the_values_of_a_sentence_s_words(corpus, column):
    settings = data(corpus)
    given = slices(verbs={"column": {column: "VERB"}}, others={"column": {column: ["DET", "PROPN"]}})
    columns = open_columns(given, settings)["test"]
    rows = sentences_in(settings, "test")
    parts = [members_of(given, rows[:1], columns), members_of(given, rows[1:], columns)]
    assert [[*part["verbs"]] for part in parts] == [[True], [False, False]]
    assert [[*part["others"]] for part in parts] == [[True], [True, True]]


def test_a_split_cut_from_train_has_the_columns_of_its_sentences(corpus):
    settings = data(corpus, test=None)
    rows = sentences_in(settings, "train")[2:]
    assert open_column(1, "test", settings)(rows) == [frozenset({"PROPN"})]


def test_a_column_in_one_split_only_is_empty_in_the_other_and_one_in_neither_is_an_error(corpus, capsys):
    (corpus / "dev.conll").write_text("Ann\tB-PER\n\nBob\tB-PER\n")
    settings = data(corpus)
    given = slices(verbs={"column": {2: "O"}})
    columns = open_columns(given, settings)
    assert "note: slice verbs has no sentence in dev, which lacks the column 2" in capsys.readouterr().out
    assert not members_of(given, sentences_in(settings, "dev"), columns["dev"])["verbs"].any()
    assert members_of(given, sentences_in(settings, "test"), columns["test"])["verbs"].any()
    with pytest.raises(
        DataError, match=r"slices.yaml: slices.far.column.7: neither dev nor test .*column 7 of 3"
    ) as caught:
        open_columns(slices(far={"column": {7: "x"}}), settings)
    assert "\n" not in str(caught.value)


def test_a_column_without_the_words_of_the_corpus_or_without_columns_is_an_error(corpus):
    settings = data(corpus)
    rows = sentences_in(settings, "test")
    values = open_column(1, "test", settings)
    (one, *_), other = rows, rows[1]
    with pytest.raises(DataError, match="not as the stage read saw it; run: dvc repro"):
        values([Sentence(("Eve", "sings"), one.tags, one.file, one.lines)])
    with pytest.raises(DataError, match="not as the stage read saw it"):
        values([Sentence(other.words, other.tags, other.file, (99,))])
    text = '{"text": "Ann", "entities": [{"start": 0, "end": 3, "label": "PER"}]}\n'
    (corpus / "test.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"test.jsonl: the format \w+ has no columns"):
        open_column(1, "test", data(corpus, test="test.jsonl"))
    (corpus / "test.jsonl").write_text('{"tokens": ["Ann"], "tags": ["B-PER"], "pos": ["PROPN"]}\n')
    with pytest.raises(DataError, match=r"test.jsonl: the format jsonl has no such column, got 1; name the key"):
        open_column(1, "test", data(corpus, test="test.jsonl"))
    (row,) = read_file(corpus / "test.jsonl", settings, Notes())
    assert open_column("pos", "test", data(corpus, test="test.jsonl"))([row]) == [frozenset({"PROPN"})]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_bundled_corpus_in_slices_of_length_adds_up(split):
    settings = data(ROOT / "data/wikigold")
    rows = sentences_in(settings, split)
    gold = gold_spans(rows)
    given = slices(short={"max_words": 15}, middle={"min_words": 16, "max_words": 39}, long={"min_words": 40})
    found = scored(given, rows, gold, gold, size=50)
    assert sum(row.support for row in found.values()) == sum(map(len, gold))
    assert sum(row.sentences for row in found.values()) == len(rows)
    assert all(row.f1 == row.f1_low == row.f1_high == 1.0 for row in found.values())
