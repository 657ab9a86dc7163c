from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, IOBES, Entities

from fpplm_core.errors import DataError
from fpplm_core.labels import (
    SCHEMES,
    Span,
    detect_scheme,
    faults,
    label_list,
    legal,
    lenient_spans,
    spans,
    split_tag,
    to_tags,
    transitions,
)

# A type with a hyphen, types that end in one another, and types that look like prefixes.
TYPES = ("PER", "HYPER", "creative-work", "work", "B", "I-PER")
SEQEVAL = {"IOB2": IOB2, "BIOES": IOBES}
schemes = st.sampled_from(sorted(SCHEMES))


@st.composite
def span_sets(draw) -> tuple[list[Span], int]:
    """Spans that do not overlap, left to right, and the length of their sentence."""
    found, place = [], 0
    for _ in range(draw(st.integers(0, 5))):
        start = place + draw(st.integers(0, 2))
        place = start + draw(st.integers(1, 4))
        found.append(Span(start, place, draw(st.sampled_from(TYPES))))
    return found, place + draw(st.integers(0, 2))


def random_tags(scheme: str, types=TYPES[:4]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(label_list(types, scheme)), max_size=9)


def strict_entities(tags: list[str], scheme: str) -> list[Span]:
    """seqeval's strict reading."""
    found = Entities([tags], SEQEVAL[scheme]).entities[0]
    return [Span(entity.start, entity.end, entity.tag) for entity in found]


def conlleval(tags: list[str]) -> list[Span]:
    """The rules startOfChunk and endOfChunk of the conlleval script, which look at neighbours alone."""
    pairs = [("O", ""), *((tag[0], tag[2:]) for tag in tags), ("O", "")]
    found, start = [], None
    for index, ((before, kind_before), (after, kind_after)) in enumerate(pairwise(pairs)):
        other = kind_before != kind_after
        ends = before in "ES" or (before in "BI" and after in "BSO") or (before != "O" and other)
        starts = after in "BS" or (before in "ESO" and after in "EI") or (after != "O" and other)
        if start is not None and ends:
            found.append(Span(start, index, kind_before))
            start = None
        if starts:
            start = index
    return found


@given(span_sets(), schemes)
def test_spans_come_back_from_their_tags(case, scheme):
    entities, length = case
    tags = to_tags(entities, length, scheme)
    assert len(tags) == length
    assert faults(tags, scheme) == []
    assert spans(tags, scheme) == lenient_spans(tags) == entities


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_legal_sequences_are_those_that_encode_spans(scheme, length):
    kinds = ("PER", "HYPER") if length < 4 else ("PER",)
    labels = label_list(kinds, scheme)
    encoded = {tuple(to_tags(entities, length, scheme)) for entities in all_span_sets(length, kinds)}
    matrix = transitions(labels, scheme)
    edge = len(labels)
    for path in product(range(len(labels)), repeat=length):
        tags = tuple(labels[label] for label in path)
        allowed = all(matrix[a, b] for a, b in pairwise([edge, *path, edge]))
        assert allowed == (tags in encoded) == (faults(tags, scheme) == [])


def all_span_sets(length: int, kinds, start: int = 0):
    if start >= length:
        yield []
        return
    yield from all_span_sets(length, kinds, start + 1)
    for end in range(start + 1, length + 1):
        for kind, rest in product(kinds, all_span_sets(length, kinds, end)):
            yield [Span(start, end, kind), *rest]


@given(st.data(), st.sampled_from(sorted(SEQEVAL)))
def test_strict_reading_equals_seqeval_and_illegal_sequences_are_refused(data, scheme):
    tags = data.draw(random_tags(scheme))
    reference = strict_entities(tags, scheme)
    if to_tags(reference, len(tags), scheme) == tags:
        assert spans(tags, scheme) == reference
    else:  # what seqeval keeps does not explain the tags
        with pytest.raises(ValueError, match=r"word [1-9]"):
            spans(tags, scheme)


@given(st.data(), st.sampled_from(sorted(SEQEVAL)))
def test_repaired_tags_read_the_same_by_seqeval(data, scheme):
    tags = data.draw(random_tags("BIOES"))
    read = lenient_spans(tags)
    assert strict_entities(to_tags(read, len(tags), scheme), scheme) == read


@given(st.data(), schemes)
def test_lenient_reading_is_that_of_conlleval(data, scheme):
    tags = data.draw(random_tags(scheme))
    assert lenient_spans(tags) == conlleval(tags)
    assert lenient_spans(tags) == [Span(start, end + 1, kind) for kind, start, end in get_entities(tags)]


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("B-PER I-HYPER", [(0, 1, "PER"), (1, 2, "HYPER")]),
        ("B-creative-work I-creative-work", [(0, 2, "creative-work")]),
        ("B-work I-creative-work", [(0, 1, "work"), (1, 2, "creative-work")]),
        ("I-PER I-PER O E-PER", [(0, 2, "PER"), (3, 4, "PER")]),
        ("B-PER E-PER E-PER", [(0, 2, "PER"), (2, 3, "PER")]),
        ("S-PER I-PER", [(0, 1, "PER"), (1, 2, "PER")]),
        ("B-PER B I-PER", [(0, 1, "PER"), (2, 3, "PER")]),
    ],
)
def test_lenient_reading_of_broken_tags(tags, entities):
    assert lenient_spans(tags.split()) == entities


@given(st.lists(st.text(max_size=6), max_size=6), schemes)
def test_any_text_as_a_tag_is_read_or_named_as_malformed(tags, scheme):
    bad = {fault.word for fault in faults(tags, scheme)}
    assert all(0 <= word < len(tags) for word in bad)
    for index, tag in enumerate(tags):
        try:
            prefix, kind = split_tag(tag)
        except ValueError:
            assert index in bad
        else:
            assert tag == (f"{prefix}-{kind}" if kind else "O")
    for start, end, kind in lenient_spans(tags):
        assert kind and 0 <= start < end <= len(tags)


@pytest.mark.parametrize("tag", ["", "B", "B-", "-PER", "PER", "b", "o", "BI-PER", "B_PER", "B- PER", "B-PER ", " O"])
def test_malformed_tags_are_refused(tag):
    with pytest.raises(ValueError, match="PREFIX-TYPE"):
        split_tag(tag)


@pytest.mark.parametrize(
    ("scheme", "tags", "words"),
    [
        ("IOB2", "B-PER I-LOC I-LOC", [1]),
        ("IOB2", "I-PER O I-PER", [0, 2]),
        ("IOB2", "S-PER O E-PER", [0, 2]),
        ("BIOES", "B-PER O", [1]),
        ("BIOES", "B-PER I-PER", [1]),
        ("BIOES", "B-PER S-PER", [1]),
        ("BIOE", "B-PER S-PER", [1]),
        ("BIOE", "B-PER I-PER", [1]),
        ("BIOE", "B-PER B-PER", []),
        ("BIOE", "B-PER E-PER E-PER", [2]),
        ("IOB2", "B-PER X I-PER", [1, 2]),
    ],
)
def test_each_fault_stands_at_its_word(scheme, tags, words):
    assert [fault.word for fault in faults(tags.split(), scheme)] == words


def test_a_fault_says_what_came_before():
    (fault,) = faults(["O", "I-creative-work"], "IOB2")
    assert fault.reason == "I-creative-work cannot follow O in IOB2"
    (fault,) = faults(["B-PER"], "BIOES")
    assert fault.reason == "B-PER cannot end a sentence in BIOES"


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_transitions_hold_legality_of_each_pair(scheme):
    labels = label_list(TYPES, scheme)
    assert len(set(labels)) == 1 + len(TYPES) * len(SCHEMES[scheme])
    matrix = transitions(labels, scheme)
    ends = [*labels, None]
    assert matrix.shape == (len(labels) + 1,) * 2
    assert all(matrix[i, j] == legal(a, b, scheme) for (i, a), (j, b) in product(enumerate(ends), repeat=2))
    assert matrix[-1, 0] and matrix[0, -1]


@given(st.sets(st.sampled_from(TYPES)), st.randoms())
def test_the_label_list_does_not_depend_on_the_order_of_types(kinds, random):
    shuffled = [*kinds, *kinds]
    random.shuffle(shuffled)
    assert label_list(shuffled) == label_list(sorted(kinds))


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("O B-PER I-PER", "IOB2"),
        ("O B-PER", "IOB2"),
        ("O", "IOB2"),
        ("", "IOB2"),
        ("B-PER I-PER E-PER", "BIOE"),
        ("B-PER E-PER B-LOC", "BIOE"),
        ("B-PER E-PER S-LOC", "BIOES"),
        ("S-LOC", "BIOES"),
        ("B-PER nonsense B-", "IOB2"),
    ],
)
def test_the_scheme_is_seen_from_the_prefixes(tags, scheme):
    assert detect_scheme(tags.split()) == scheme


@pytest.mark.parametrize(
    ("tags", "prefixes"), [("I-PER O", "I"), ("B-PER L-PER U-PER", "B, L, U"), ("M-A S-A", "M, S")]
)
def test_an_unknown_scheme_is_an_error_that_names_the_prefixes(tags, prefixes):
    with pytest.raises(DataError) as caught:
        detect_scheme(tags.split())
    assert f"got the prefixes {prefixes};" in str(caught.value)
    assert "data.scheme" in str(caught.value)


@given(span_sets(), schemes)
def test_a_detected_scheme_finds_no_fault_in_tags_of_the_written_one(case, scheme):
    entities, length = case
    tags = to_tags(entities, length, scheme)
    assert faults(tags, detect_scheme(tags)) == []
    assert spans(tags, detect_scheme(tags)) == entities
