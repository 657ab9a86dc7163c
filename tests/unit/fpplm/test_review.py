from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm.studies.review import Doubt, by_type, doubtful, fold_of, grouped, lines, types_of_words
from fpplm_core.data.records import Sentence
from fpplm_core.tagging.schemes import label_list

LABELS = label_list(["LOC", "PER"])
Row = list[tuple[str, str]]  # the tag that is given and the one that the tagger takes for right
GOOD: list[Row] = [[("O", "O"), ("S-PER", "S-PER")], [("B-LOC", "B-LOC"), ("E-LOC", "E-LOC"), ("O", "O")]] * 20


def sentence(tags: list[str], line: int = 1, document: int | None = None) -> Sentence:
    words = tuple(f"w{number}" for number in range(len(tags)))
    return Sentence(words, tuple(tags), "f.conll", tuple(range(line, line + len(tags))), document)


def doubts(folder: Path, rows: list[Row], sure: dict[tuple[int, int], float] | None = None) -> list[Doubt]:
    """Of rows that begin in the lines 100, 200, …; `sure` is the tagger's logit by row and word, else 5."""
    logits = [
        [((sure or {}).get((i, j), 5.0) if label == right else 0.0) for label in LABELS]
        for i, row in enumerate(rows)
        for j, (_, right) in enumerate(row)
    ]
    np.save(folder / "logits.npy", np.array(logits, dtype=np.float32))
    sentences = [sentence([tag for tag, _ in row], 100 * number) for number, row in enumerate(rows, start=1)]
    return doubtful(sentences, folder / "logits.npy", LABELS)


marked = st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=30)


@given(marked, st.integers(2, 7))
def test_documents_stay_together_and_every_part_is_used(documents, folds):
    sentences = [sentence(["O"], document=document) for document in documents]
    part = fold_of(sentences, folds)
    assert part == fold_of(sentences, folds)
    own = {document: {p for p, d in zip(part, documents, strict=True) if d == document} for document in documents}
    assert all(len(parts) == 1 for document, parts in own.items() if document is not None)
    units = len(set(documents) - {None}) + documents.count(None)
    assert set(part) == set(range(min(folds, units)))


def test_a_sentence_without_a_document_is_no_part_of_the_one_with_its_number():
    rows = [sentence(["O"]), sentence(["O"], document=0), sentence(["O"], document=0)]
    assert fold_of(rows, 2) == [0, 1, 1]
    other = Sentence(("w",), ("O",), "g.conll", (1,), 0)  # the same number in another file
    assert fold_of([*rows, other], 3) == [0, 1, 1, 2]


@given(st.integers(0, 2**32 - 1))
def test_chances_of_types_are_sums_of_those_of_labels(seed):
    chances = np.random.default_rng(seed).dirichlet(np.ones(len(LABELS)), 4).astype(np.float32)
    types, found = by_type(chances, LABELS)
    assert types == ["O", "LOC", "PER"]
    assert found == pytest.approx(np.stack([chances[:, 0], chances[:, 1:5].sum(1), chances[:, 5:].sum(1)], axis=1))


def test_types_of_words_are_those_of_entities_whatever_the_scheme():
    assert types_of_words(sentence(["O", "I-PER", "I-PER", "B-PER", "S-LOC"])) == ["O", "PER", "PER", "PER", "LOC"]


def test_neighbours_are_one_doubt_where_both_types_are_the_same():
    given = ["O", "O", "O", "PER", "O"]
    rows = sentence(["O"] * 5, 7)
    chances = np.array([[0.1, 0.9, 0], [0.3, 0.7, 0], [0.2, 0.1, 0.7], [0, 0.8, 0.2], [0.4, 0.6, 0]], dtype=np.float32)
    found = list(grouped(rows, range(5), given, chances, ["O", "LOC", "PER"]))
    assert [(d.place, d.words, d.given, d.likelier, d.score) for d in found] == [
        ("f.conll:7", "w0 w1", "O", "LOC", 0.1),
        ("f.conll:9", "w2", "O", "PER", 0.2),
        ("f.conll:10", "w3", "PER", "LOC", 0.2),
        ("f.conll:11", "w4", "O", "LOC", 0.4),
    ]
    apart = list(grouped(rows, [0, 4], given, chances, ["O", "LOC", "PER"]))
    assert [doubt.words for doubt in apart] == ["w0", "w4"]


def test_planted_errors_are_found_the_surest_first(tmp_path, capfd):
    planted: list[Row] = [
        [("O", "O"), ("S-LOC", "S-PER")],
        [("O", "B-LOC"), ("O", "E-LOC"), ("O", "O")],
        [("S-PER", "O"), ("O", "O")],
    ]
    first = len(GOOD)
    sure = {(first, 1): 6.0, (first + 1, 0): 9.0, (first + 1, 1): 8.0, (first + 2, 0): 7.0}
    found = doubts(tmp_path, GOOD + planted, sure)
    found.sort(key=lambda doubt: doubt.score)
    wanted = [
        (f"f.conll:{100 * first + 200}", "w0 w1", "O", "LOC"),
        (f"f.conll:{100 * first + 300}", "w0", "PER", "O"),
        (f"f.conll:{100 * first + 101}", "w1", "LOC", "PER"),
    ]
    assert [doubt[:4] for doubt in found] == wanted
    assert found[0].sentence == "w0 w1 w2"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "rows",
    [
        GOOD,
        [[pair] for row in GOOD for pair in row],
        [[("O", "O")]],
        [[("O", "O")]] * 30,
        [[("S-PER", "S-PER")]],
        # Types whose inside is in doubt, but not what they are.
        [[("S-PER", "B-PER"), ("O", "O")]] * 5,
        # A type that train lacks has no chance; what is likelier says the unknown type's check.
        [*GOOD, [("S-ORG", "S-PER"), ("O", "O")]],
        [[("S-ORG", "S-PER")]] * 3,
    ],
)
def test_where_nothing_is_in_doubt_nothing_is_found(tmp_path, rows):
    assert doubts(tmp_path, rows) == []


def test_sentences_of_one_word_and_a_type_that_train_lacks_leave_the_others_where_they_stand(tmp_path):
    rows = [[pair] for row in GOOD for pair in row]
    (found,) = doubts(tmp_path, [[("S-ORG", "O")], *rows, [("O", "S-PER")]])
    assert found[:4] == (f"f.conll:{100 * (len(rows) + 2)}", "w0", "O", "PER")


def test_what_is_not_shown_is_counted():
    doubt = Doubt("f.conll:3", "New York", "O", "LOC", 0.0125, "in New York")
    assert list(lines([doubt] * 3, 3)) == ["0.013  f.conll:3: 'New York' is O, likelier LOC"] * 3
    assert list(lines([doubt] * 3, 1))[1:] == ["… and 2 more in reports/review.jsonl"]
