"""Two versions of annotated data: what was added, removed, re-typed or moved, and where."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.corpus import SPLITS, write_corpus
from fpplm_core.data.diff import DataDiff, diff_corpora
from fpplm_core.data.pairing import pair_mentions
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError
from fpplm_core.files import read_record, write_record
from fpplm_core.tagging.schemes import SCHEMES
from fpplm_core.tagging.spans import Span, tags_from_spans

Corpus = dict[str, list[Sentence]]
PARIS = "Ada Lovelace saw Paris in Spring"


def sentence(text: str, tags: str = "", line: int = 1) -> Sentence:
    words = tuple(text.split())
    lines = tuple(range(line, line + len(words)))
    return Sentence(words, tuple(tags.split()) or ("O",) * len(words), "a.conll", lines)


def write(folder: Path, corpus: Corpus) -> Path:
    for split in SPLITS:
        write_corpus(folder / f"{split}.parquet", corpus.get(split, []))
    return folder


def compare(tmp_path: Path, before: Corpus, after: Corpus, examples: int | None = None) -> DataDiff:
    paths = [write(tmp_path / name, corpus) for name, corpus in (("before", before), ("after", after))]
    return diff_corpora(*paths, ("v1", "v2"), examples)


def test_every_kind_of_change_is_found_at_its_line(tmp_path: Path) -> None:
    before = {
        "train": [
            sentence(PARIS, "B-PER I-PER O B-ORG O O"),
            sentence("Ulm and Bonn", "B-LOC O O", 10),
            sentence("old words", line=20),
        ],
        "dev": [sentence("it moves", "O B-MISC", 30)],
    }
    after = {
        "train": [
            sentence("new words of Ulm", "O O O B-LOC", 100),
            sentence(PARIS, "B-PER O O B-LOC O B-MISC", 200),
            sentence("Ulm and Bonn", "O O B-LOC", 300),
        ],
        "test": [sentence("it moves", "O B-MISC", 400)],
    }
    found = compare(tmp_path, before, after)
    assert [(c.kind, c.place, c.before, c.after) for c in found.mentions] == [
        ("moved", "a.conll:200", Span(0, 2, "PER"), Span(0, 1, "PER")),
        ("re-typed", "a.conll:203", Span(3, 4, "ORG"), Span(3, 4, "LOC")),
        ("added", "a.conll:205", None, Span(5, 6, "MISC")),
        ("removed", "a.conll:10", Span(0, 1, "LOC"), None),
        ("added", "a.conll:302", None, Span(2, 3, "LOC")),
    ]
    assert [(c.kind, c.before, c.after, c.place) for c in found.sentences] == [
        ("moved", "dev", "test", "a.conll:400"),
        ("removed", "train", None, "a.conll:20"),
        ("added", None, "train", "a.conll:100"),
    ]
    train = found.splits["train"]
    assert (train.before, train.after, train.added, train.removed, train.corrected) == (3, 3, 1, 1, 2)
    place = train.types["LOC"]
    assert (place.before, place.after, place.to, place.added, place.removed, place.arrived) == (1, 3, 1, 1, 1, 1)
    assert (train.types["ORG"].out_of, train.types["PER"].moved) == (1, 1)
    assert (found.splits["dev"].moved_out, found.splits["test"].moved_in) == (1, 1)
    write_record(tmp_path / "diff.json", found)
    assert read_record(tmp_path / "diff.json", DataDiff).splits == found.splits


kinds = st.sampled_from(["PER", "LOC"])


@st.composite
def sentences(draw: st.DrawFn) -> Sentence:
    """Few different words, so that sentences recur."""
    words = draw(st.lists(st.sampled_from("ab"), min_size=1, max_size=4))
    spans, place = [], 0
    while place < len(words):
        end = draw(st.integers(place + 1, len(words)))
        if draw(st.booleans()):
            spans.append(Span(place, end, draw(kinds)))
        place = end
    tags = tags_from_spans(spans, len(words), draw(st.sampled_from(["IOB2", "BIOES", "BILOU"])))
    return Sentence(tuple(words), tuple(tags), "x", tuple(range(1, len(words) + 1)))


corpora = st.fixed_dictionaries({split: st.lists(sentences(), max_size=5) for split in SPLITS})


@given(corpora, corpora)
def test_the_counts_add_up_and_reversed_they_are_the_opposite(tmp_path_factory, before, after):
    forth = compare(tmp_path_factory.mktemp("forth"), before, after)
    back = compare(tmp_path_factory.mktemp("back"), after, before)
    for name, split in forth.splits.items():
        other = back.splits[name]
        assert (split.before, split.after) == (len(before[name]), len(after[name]))
        assert split.after == split.before + split.added - split.removed + split.moved_in - split.moved_out
        assert (split.added, split.moved_in) == (other.removed, other.moved_out)
        for row in split.types.values():
            gained = row.added + row.to + row.arrived
            assert row.after == row.before + gained - row.removed - row.out_of - row.left
    assert sum(s.corrected for s in forth.splits.values()) == sum(s.corrected for s in back.splits.values())
    assert Counter(c.kind for c in forth.sentences)["added"] == sum(s.added for s in forth.splits.values())
    assert forth.is_empty == (forth.mentions == [] == forth.sentences) == back.is_empty


@given(corpora, st.randoms(use_true_random=False), st.sampled_from(list(SCHEMES)))
def test_another_order_line_or_scheme_is_no_change(tmp_path_factory, corpus, random, scheme):
    from dataclasses import replace

    from fpplm_core.tagging.spans import spans_from_tags

    def other(row: Sentence) -> Sentence:
        spans = spans_from_tags(row.tags)
        try:
            tags = tags_from_spans(spans, len(row.words), scheme)
        except ValueError:  # this scheme cannot express them
            tags = row.tags
        return replace(row, tags=tuple(tags), file="other", lines=tuple(line + 7 for line in row.lines))

    shuffled = {name: random.sample(rows, len(rows)) for name, rows in corpus.items()}
    moved = {name: [other(row) for row in rows] for name, rows in shuffled.items()}
    found = compare(tmp_path_factory.mktemp("same"), corpus, moved)
    assert found.is_empty and not found.mentions and not found.sentences


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        ([], [], []),
        ([(0, 2, "A")], [(0, 2, "A")], []),
        ([(0, 4, "A")], [(0, 2, "A"), (2, 4, "A")], [((0, 4, "A"), (0, 2, "A")), (None, (2, 4, "A"))]),
        ([(0, 3, "A")], [(0, 1, "A"), (1, 3, "B")], [((0, 3, "A"), (0, 1, "A")), (None, (1, 3, "B"))]),
        ([(0, 1, "A"), (1, 3, "A")], [(0, 3, "A")], [((1, 3, "A"), (0, 3, "A")), ((0, 1, "A"), None)]),
        ([(0, 2, "A"), (2, 3, "B")], [(0, 3, "B")], [((0, 2, "A"), None), ((2, 3, "B"), (0, 3, "B"))]),
        ([(0, 1, "A")], [(1, 2, "A")], [((0, 1, "A"), None), (None, (1, 2, "A"))]),
    ],
)
def test_mentions_are_paired_with_those_that_they_overlap(before, after, pairs):
    def spans(rows):
        return [Span(*row) for row in rows]

    found = pair_mentions(spans(before), spans(after))
    wanted = {tuple(None if one is None else Span(*one) for one in pair) for pair in pairs}
    assert set(found) == wanted and len(found) == len(wanted)


def test_thousands_of_mentions_in_a_sentence_are_paired_in_no_time():
    before, after = ([Span(2 * n, 2 * n + 1, kind) for n in range(20_000)] for kind in ("PER", "PERSON"))
    began = time.process_time()
    assert pair_mentions(before, after) == list(zip(before, after, strict=True))
    assert time.process_time() - began < 5


def test_of_repeated_sentences_the_number_counts(tmp_path: Path) -> None:
    row = sentence("Ulm wins", "B-LOC O")
    found = compare(tmp_path, {"train": [row] * 3}, {"train": [row]})
    assert found.splits["train"].removed == 2 and found.splits["train"].types["LOC"].left == 2
    assert len(found.sentences) == 2 and not found.mentions


def test_examples_are_limited_by_kind_and_split_but_counts_are_not(tmp_path: Path) -> None:
    old = [sentence(f"Ulm {n}", "B-LOC O") for n in range(9)]
    new = [sentence(f"Ulm {n}", "B-ORG O") for n in range(9)]
    found = compare(tmp_path, {"train": old, "dev": old}, {"train": new, "dev": new}, examples=2)
    assert [(c.split, c.kind) for c in found.mentions] == [("train", "re-typed")] * 2 + [("dev", "re-typed")] * 2
    assert [found.splits[name].corrected for name in SPLITS] == [9, 9, 0]


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    write(tmp_path / "before", {})
    (tmp_path / "after").mkdir()
    with pytest.raises(DataError, match=r"train\.parquet"):
        diff_corpora(tmp_path / "before", tmp_path / "after", ("v1", "v2"), None)
