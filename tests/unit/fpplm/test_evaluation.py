"""What `fpplm evaluate` takes for gold: what `fpplm check` and `convert` read, said; or an error, never a silent 0."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpplm.prediction import evaluation
from fpplm.prediction.evaluation import read_gold
from fpplm_core.data.conversion import convert
from fpplm_core.data.options import Options
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.tagging.schemes import SCHEMES, label_list
from fpplm_core.tagging.spans import Span, tags_from_spans

LABELS = label_list(["LOC", "PER"])
POS = ["O", "S-NOUN", "S-VERB"]
SPANS = [Span(0, 2, "PER"), Span(3, 4, "LOC"), Span(5, 8, "PER"), Span(8, 9, "LOC")]
Gold = tuple[list[list[Span]], list[str]]


def columns(*sentences: str) -> str:
    """One word per line, with these tags."""
    return "\n".join("".join(f"w{n}\t{tag}\n" for n, tag in enumerate(tags.split())) for tags in sentences)


@pytest.fixture
def gold(tmp_path: Path) -> Callable[..., Gold]:
    def read(
        content: str,
        name: str = "a.conll",
        labels: Any = LABELS,
        scheme: str = "auto",
        repair: str = "conlleval",
        **how: Any,
    ) -> Gold:
        (tmp_path / name).write_text(content)
        options = Options(**how)
        _, spans = read_gold(tmp_path / name, "auto", options, labels, scheme, repair)
        return spans, [line.replace(f"{tmp_path}/", "") for line in options.notes.lines()]

    return read


@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name != "TAGS"])
def test_every_scheme_gives_the_mentions_and_is_said(tmp_path: Path, gold: Callable[..., Gold], scheme: str) -> None:
    neighbours = [] if scheme == "IO" else [Span(9, 10, "LOC")]  # of one type, which IO has not
    entities = [*SPANS, *neighbours]
    tags = " ".join(tags_from_spans(entities, 10, scheme))
    spans, notes = gold(columns(tags, tags, "O O"))
    assert spans == [entities, entities, []]
    named = next(note for note in notes if note.startswith("tag scheme")).split()[2].rstrip(":")
    assert named == scheme and not any("illegal" in note for note in notes)
    convert(tmp_path / "a.conll", tmp_path / "b.conll", Options(), scheme="IOB2")
    assert gold((tmp_path / "b.conll").read_text())[0] == spans
    assert gold(columns(tags), scheme=scheme)[0] == [entities]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("PER PER O LOC O", r"a\.conll: the tags follow no known scheme, .*'PER'.*data\.tag_column"),
        ("PER-B PER-I O LOC-B O", r"a\.conll: the tags follow no known scheme, .*'PER-B'"),
        ("B_PER I_PER O B_LOC O", r"a\.conll: the tags follow no known scheme, .*'B_PER'"),
        ("b-per i-per o b-loc o", r"a\.conll: the tags follow no known scheme, .*'b-per', a tag in lower case"),
        ("PER PER NONE LOC NONE", r"a\.conll: the tags follow no known scheme, .*'NONE'"),
        ("1 2 3 4 5", r"a\.conll:1: the tags are numbers.*'1'.*data\.tag_column"),
        ("B-PER I-PER O B-LOC PER", r"a\.conll:5: malformed tag: 'PER' is not O or PREFIX-TYPE, got 1 such tag"),
        ("B-PER I-PER O B-LOC o", r"a\.conll:5: malformed tag: 'o'"),
        ("B-PER I-PER O B-LOC b-per", r"a\.conll:5: unknown prefix 'b'"),
        ("B-PER E-PER O S-LOC U-LOC", r"a\.conll:5: unknown prefix 'U'"),
    ],
)
def test_tags_of_no_scheme_are_refused_with_one_of_them(gold: Callable[..., Gold], tags: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        gold(columns(tags))


@pytest.mark.parametrize("tag", ["0", "-", "i-PER"])
def test_only_a_transition_is_said_to_be_readable_otherwise(gold: Callable[..., Gold], tag: str) -> None:
    with pytest.raises(DataError, match=r"; correct it, or name the scheme \(data\.scheme\)$"):
        gold(columns(f"B-PER O B-LOC {tag}"))
    with pytest.raises(DataError, match=r"\(data\.scheme\) or the reading of illegal transitions \(data\.repair\)$"):
        gold(columns("B-PER O I-LOC"), repair="refuse", scheme="IOB2")


def test_a_wrong_scheme_is_refused(gold: Callable[..., Gold]) -> None:
    with pytest.raises(DataError, match=r"a\.conll:1: unknown prefix 'S' in 'S-PER': IOB2 has B, I, O"):
        gold(columns("S-PER O"), scheme="IOB2")
    with pytest.raises(DataError, match="follow no known scheme of entities"):
        gold(columns("B-PER O"), scheme="TAGS")


def test_illegal_transitions_are_counted_with_their_places_and_reading(gold: Callable[..., Gold]) -> None:
    tags = "I-PER I-LOC O B-LOC I-PER"
    spans, notes = gold(columns(tags))
    assert spans == [[Span(0, 1, "PER"), Span(1, 2, "LOC"), Span(3, 4, "LOC"), Span(4, 5, "PER")]]  # as conlleval does
    assert notes[-2:] == [
        "illegal transitions in IOB1, read as conlleval does (a.conll:4: B-LOC cannot follow O)",
        "illegal transitions in IOB2, read as conlleval does: 3 (a.conll:1: I-PER cannot follow the sentence start, "
        "a.conll:2: I-LOC cannot follow I-PER, a.conll:5: I-PER cannot follow B-LOC)",
    ]
    assert gold(columns(tags), scheme="IOB2")[1][-1] == notes[-1]
    spans, notes = gold(columns(tags), scheme="IOB2", repair="discard")
    assert spans == [[Span(3, 4, "LOC")]] and "entities with one are left out: 3" in notes[-1]
    with pytest.raises(DataError, match=r"a\.conll:1: I-PER cannot follow .*, got 3 such tag"):
        gold(columns(tags), scheme="IOB2", repair="refuse")


def test_types_that_the_bundle_lacks_count_and_are_said(gold: Callable[..., Gold]) -> None:
    spans, notes = gold(columns("B-PER O B-ORG", "B-ORG I-ORG B-loc"))
    assert [span.type for row in spans for span in row] == ["PER", "ORG", "ORG", "loc"]
    assert notes[-2:] == [
        "the bundle has no type 'ORG': its mentions count as missed: 2 (a.conll:3, a.conll:5)",
        "the bundle has no type 'loc': its mentions count as missed (a.conll:7)",
    ]


NO_TYPES = [
    ("PER\u200b", r"the type has an invisible or control character; allowed are .*, got 'PER\\u200b'; correct it"),
    ("O", "O stands for no entity, so it cannot be a type, got 'O'"),
    ("B-PER", "B-PER is a tag of a word, not a type"),
    ("I-PER", "I-PER is a tag of a word, not a type"),
    ("(missed)", r"\(missed\) stands for no entity"),
    ("x" * 101, "the type has 101 characters"),
]


@pytest.mark.parametrize(("kind", "said"), NO_TYPES)
def test_what_check_calls_malformed_is_never_scored_as_a_type(gold: Callable[..., Gold], kind: str, said: str) -> None:
    for repair in ("refuse", "conlleval", "discard"):
        with pytest.raises(DataError, match=rf"a\.conll:3: {said}"):
            gold(columns(f"B-PER O B-{kind}"), repair=repair)
    row = {"text": "Mira Holt", "entities": [{"start": 5, "end": 9, "label": kind}]}
    with pytest.raises(DataError, match=rf"a\.jsonl:1: {said}"):
        gold(json.dumps(row), "a.jsonl")


def test_a_type_of_the_bundle_is_scored_whatever_it_is(gold: Callable[..., Gold]) -> None:
    """Its check was switched off, and the pipeline scored it."""
    labels = label_list(["PER\u200b"])
    assert gold(columns("B-PER\u200b O"), labels=labels)[0] == [[Span(0, 1, "PER\u200b")]]


def test_notes_of_the_reader_come_along(gold: Callable[..., Gold]) -> None:
    rows = [{"start": 0, "end": 9, "label": "PER"}, {"start": 0, "end": 4, "label": "PER"}]
    content = json.dumps({"text": "Mira Holt", "entities": rows})
    with pytest.raises(DataError, match=r"two mentions overlap.*data\.overlap"):
        gold(content, "a.jsonl")
    spans, notes = gold(content, "a.jsonl", overlap="longest")
    assert spans == [[Span(0, 2, "PER")]]
    assert notes[-1] == "mentions left out, as they overlap the longest one (a.jsonl:1: PER 'Mira', 0 to 4)"


def test_a_bundle_that_tags_words_reads_plain_tags_alone(gold: Callable[..., Gold]) -> None:
    spans, notes = gold(columns("NOUN VERB X"), labels=POS)
    assert spans == [[Span(0, 1, "NOUN"), Span(1, 2, "VERB"), Span(2, 3, "X")]]
    assert notes[-1] == "the bundle has no type 'X': its mentions count as missed (a.conll:3)"
    with pytest.raises(DataError, match=r"the bundle has none of these tags, got 'B-PER', 'O', but .* NOUN, VERB"):
        gold(columns("B-PER O"), labels=POS)
    with pytest.raises(DataError, match="mentions, but this bundle tags every word"):
        gold(json.dumps({"text": "a", "entities": []}), "a.jsonl", labels=POS)


def test_an_unknown_scheme_is_refused(gold: Callable[..., Gold]) -> None:
    with pytest.raises(ParamsError, match="--scheme: unknown tag scheme, got 'foo'; use auto, IOB1"):
        gold(columns("B-PER"), scheme="foo")


def test_a_sentence_has_a_bound(gold: Callable[..., Gold], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "TEXT_LIMIT", 7)
    with pytest.raises(DataError, match=r"a\.conll:5: the sentence is too long"):
        gold(columns("O O O", "O O O O"))
