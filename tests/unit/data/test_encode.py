"""The encode stage: windows and labels in batches, as if the corpus were held as a whole."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from fpplm_core.data import windows as windows_module
from fpplm_core.data.encoded import FIELDS
from fpplm_core.data.records import Sentence
from fpplm_core.data.windows import (
    MOST_EXPORTED_LABELS,
    WindowCounts,
    chunks_with_margin,
    labels_of,
    with_labels,
    write_windows,
)
from fpplm_core.errors import DataError
from fpplm_core.files import open_mapped_table
from fpplm_core.tagging.schemes import INNER_SCHEME, label_list
from fpplm_core.tagging.spans import spans_from_tags, tags_from_spans
from fpplm_core.tagging.windows import WindowBuilder

LABELS = label_list(["X", "Y"])


@pytest.mark.parametrize(
    ("scheme", "most", "advice"),
    [
        ("IOB2", (MOST_EXPORTED_LABELS - 1) // 4, "merge types: each type of entity has four labels"),
        ("TAGS", MOST_EXPORTED_LABELS - 1, "merge tags: each is a label"),
    ],
)
def test_more_labels_than_a_bundle_holds_are_refused(scheme, most, advice):
    types = [f"type-{number}" for number in range(most + 1)]
    assert len(labels_of(types[:most], scheme, bundled=True)) <= MOST_EXPORTED_LABELS
    with pytest.raises(DataError, match=rf"too many labels, got \d+ labels, at most 1700 fit into a bundle; {advice}"):
        labels_of(types, scheme, bundled=True)
    assert len(labels_of(types, scheme, bundled=False)) > MOST_EXPORTED_LABELS


@given(st.lists(st.integers(), max_size=30), st.integers(1, 9), st.integers(0, 12))
def test_runs_show_every_row_once_and_its_neighbours(rows, size, margin):
    start = 0
    for held, own in chunks_with_margin(iter(rows), size, margin):
        end = start + len(own)
        assert [held[place] for place in own] == rows[start:end]
        assert held == rows[max(0, start - margin) : end + margin]
        assert len(own) == min(size, len(rows) - start) > 0
        start = end
    assert start == len(rows)


@pytest.fixture(scope="module")
def tokenizer_file(tiny_encoder):
    return str(tiny_encoder / "tokenizer.json")


words = st.lists(st.sampled_from(["the", "Rivers", "a-b", "\u200b", "x" * 30, "I"]), min_size=1, max_size=12)
layout = st.lists(st.tuples(words, st.sampled_from([0, 0, 0, 1, None])), max_size=14)


@settings(max_examples=25)
@pytest.mark.parametrize("size", [1, 7, 10_000])
@given(layout, st.sampled_from([0, 1, 5, 40]))
def test_the_batches_change_no_window(tokenizer_file, tmp_path_factory, size, layout, context):
    sentences = [
        Sentence(tuple(words), ("B-X",) + ("O",) * (len(words) - 1), "f", tuple(range(len(words))), document)
        for words, document in layout
    ]
    rows = [(s, {"labels": list(range(len(s.words))), "second": []}) for s in sentences]
    path = tmp_path_factory.getbasetemp() / "windows.arrow"
    encoder, whole = (WindowBuilder(Tokenizer.from_file(tokenizer_file), 16, 4, context, 2) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows_module, "BATCH", size)
        counts = write_windows(path, iter(rows), encoder, ("labels", "second"))
    windows = whole.windows([s.words for s in sentences], [s.document for s in sentences])
    found = open_mapped_table(path).to_pydict()
    for column, field in FIELDS.items():
        assert found[column] == [getattr(window, field) for window in windows]
    assert found["labels"] == [list(window.owned_words) for window in windows]
    assert found["second"] == [[]] * len(windows)
    assert counts == WindowCounts(
        sentences=len(sentences),
        words=sum(len(s.words) for s in sentences),
        windows=len(windows),
        pieces=sum(len(window.ids) for window in windows),
        words_without_pieces=whole.pieceless,
        words_longer_than_a_window=whole.cut_words,
    )


def sentence(number: int) -> Sentence:
    return Sentence(("a", "b"), ("B-X", "I-X") if number % 2 else ("O", "B-Y"), "f", (3 * number + 1, 3 * number + 2))


@given(st.sets(st.integers(0, 12)), st.sets(st.integers(0, 12)))
def test_second_labels_are_found_by_their_lines(numbers, others):
    train = [sentence(number) for number in sorted(numbers)]
    beside = [replace(sentence(number), tags=(f"T{number}", "T")) for number in sorted(others)]
    second = ["T", *(f"T{number}" for number in range(13))]
    rows = list(with_labels(train, LABELS, iter(beside), second))
    assert [s for s, _ in rows] == train
    for number, (s, labels) in zip(sorted(numbers), rows, strict=True):
        gold = tags_from_spans(spans_from_tags(s.tags), 2, INNER_SCHEME)
        assert [LABELS[label] for label in labels["labels"]] == gold
        assert [second[label] for label in labels["second"]] == ([f"T{number}", "T"] if number in others else [])


def test_a_sentence_of_another_file_has_no_second_label_although_its_lines_are_the_same():
    train = [sentence(1), replace(sentence(1), file="drop")]
    beside = iter([replace(sentence(1), tags=("T", "T"))])
    assert [labels["second"] for _, labels in with_labels(train, LABELS, beside, ["T"])] == [[0, 0], []]
