import random
from collections import Counter
from itertools import pairwise, permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities
from seqscore import encoding as encodings
from seqscore import validation

from fpplm_core.errors import DataError
from fpplm_core.tagging.schemes import (
    DETECTED,
    INNER_SCHEME,
    SCHEMES,
    count_violations,
    detect_scheme,
    label_list,
    legal,
    split_tag,
    tag_bigrams,
    tag_errors,
    transitions,
    type_fault,
)
from fpplm_core.tagging.spans import Span, repair_tags, spans_from_tags, tags_from_spans

# A type with a hyphen, types that end in one another, types that look like prefixes, and one beyond ASCII.
TYPES = ("PER", "HYPER", "creative-work", "work", "B", "I-PER", "組織")
SEQEVAL = {"IOB1": IOB1, "IOB2": IOB2, "BIOES": IOBES, "BILOU": BILOU}
SEQSCORE = {
    "IOB1": "IOB",
    "IOB2": "BIO",
    "IO": "IO",
    "BIOES": "BIOES",
    "BILOU": "BILOU",
    "BMES": "BMES",
    "BMEWO": "BMEOW",
}
MALFORMED = ["", "PER", "B", "B-", "-PER", "O-PER", "b", "BI-PER", "B_PER", "B- PER", "B-PER ", "-LRB-", "``"]
schemes = st.sampled_from(sorted(SCHEMES))


@st.composite
def span_sets(draw, scheme: str = "IOB2") -> tuple[list[Span], int]:
    """Spans that do not overlap and that the scheme can say, left to right, and the length of their sentence."""
    found, place = [], 0
    for _ in range(draw(st.integers(0, 5))):
        start = place + draw(st.integers(0, 2))
        place = start + (1 if scheme == "TAGS" else draw(st.integers(1, 4)))
        found.append(Span(start, place, draw(st.sampled_from(TYPES))))
    if scheme == "IO":
        found = [b for a, b in pairwise([Span(0, 0, ""), *found]) if (a.end, a.type) != (b.start, b.type)]
    return found, place + draw(st.integers(0, 2))


def sayable(entities: list[Span], scheme: str) -> bool:
    if scheme == "TAGS":
        return all(end - start == 1 for start, end, _ in entities)
    return scheme != "IO" or all((a.end, a.type) != (b.start, b.type) for a, b in pairwise(entities))


def random_tags(scheme: str, types=TYPES[:4], more=()) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from([*label_list(types, scheme), *more]), max_size=9)


def strict_entities(tags: list[str], scheme: str) -> list[Span]:
    """seqeval's strict reading."""
    found = Entities([tags], SEQEVAL[scheme]).entities[0]
    return [Span(entity.start, entity.end, entity.tag) for entity in found]


def conlleval(tags: list[str]) -> list[Span]:
    """The rules startOfChunk and endOfChunk of the conlleval script, which look at neighbours alone.

    It knows B, I, E and S; the letters of other schemes are said in these.
    """
    same = {"M": "I", "L": "E", "U": "S", "W": "S"}
    pairs = [("O", ""), *((same.get(tag[0], tag[0]), tag[2:]) for tag in tags), ("O", "")]
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


@given(st.data(), schemes)
def test_spans_come_back_from_their_tags(data, scheme):
    entities, length = data.draw(span_sets(scheme))
    tags = tags_from_spans(entities, length, scheme)
    assert len(tags) == length
    assert tag_errors(tags, scheme) == []
    assert spans_from_tags(tags) == entities


@given(span_sets(), schemes)
def test_what_a_scheme_cannot_say_is_refused(case, scheme):
    entities, length = case
    if sayable(entities, scheme):
        assert spans_from_tags(tags_from_spans(entities, length, scheme)) == entities
    else:
        with pytest.raises(ValueError, match=rf"{scheme} cannot express .* over the words [1-9]"):
            tags_from_spans(entities, length, scheme)


@pytest.mark.parametrize(("one", "other"), list(permutations(sorted(SCHEMES), 2)))
@given(data=st.data())
def test_conversion_loses_nothing(data, one, other):
    entities, length = data.draw(span_sets(one))
    tags = tags_from_spans(entities, length, one)
    if sayable(entities, other):
        there = tags_from_spans(spans_from_tags(tags), length, other)
        assert tags_from_spans(spans_from_tags(there), length, one) == tags


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
@pytest.mark.parametrize(("length", "kinds"), [(1, 2), (2, 2), (3, 2), (4, 1), (5, 1)])
def test_legal_sequences_are_those_that_encode_spans(scheme, length, kinds):
    types = ("PER", "HYPER")[:kinds]
    labels = label_list(types, scheme)
    found = [entities for entities in all_span_sets(length, types) if sayable(entities, scheme)]
    encoded = {tuple(tags_from_spans(entities, length, scheme)): entities for entities in found}
    assert len(encoded) == len(found)  # no two sets have the same tags
    for tags in product(labels, repeat=length):
        allowed = all(legal(a, b, scheme) for a, b in pairwise([None, *tags, None]))
        assert allowed == (tags in encoded) == (tag_errors(tags, scheme) == [])
        if allowed:
            assert spans_from_tags(tags) == encoded[tags]


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
    if tags_from_spans(reference, len(tags), scheme) == tags:
        assert not tag_errors(tags, scheme) and spans_from_tags(tags) == reference
    else:  # what seqeval keeps does not explain the tags
        assert tag_errors(tags, scheme)


@given(st.data(), st.sampled_from(sorted(SEQEVAL)))
def test_tags_of_a_lenient_reading_read_the_same_by_seqeval(data, scheme):
    tags = data.draw(random_tags("BIOES"))
    read = spans_from_tags(tags)
    assert strict_entities(tags_from_spans(read, len(tags), scheme), scheme) == read


@given(st.data(), schemes)
def test_lenient_reading_is_that_of_conlleval(data, scheme):
    tags = data.draw(random_tags(scheme))
    assert spans_from_tags(tags) == conlleval(tags)
    if set(SCHEMES[scheme]) <= set("BIES"):  # seqeval knows no other letters here
        assert spans_from_tags(tags) == [Span(start, end + 1, kind) for kind, start, end in get_entities(tags)]


@given(st.data(), st.sampled_from(sorted(SEQSCORE)))
def test_verdicts_readings_and_tags_equal_those_of_seqscore(data, scheme):
    """It lets an empty type and blanks around one pass, which are malformed here: such tags are left out.

    Behind a tag of an unknown prefix it counts the transitions too; so the number of faults is compared without these.
    """
    more = [tag for tag in MALFORMED if tag not in ("B-", "B- PER", "B-PER ", "-PER")]
    tags = data.draw(random_tags(scheme) | random_tags(scheme, more=[*more, "X-PER", "b-PER"]))
    encoding = encodings.get_encoding(SEQSCORE[scheme])
    try:
        errors = validation.validate_labels(tags, encoding).errors if tags else ()
    except encodings.EncodingError:
        assert any(not fault.transition for fault in tag_errors(tags, scheme))
        return
    bad = tag_errors(tags, scheme)
    assert bool(bad) == bool(errors)
    if all(fault.transition for fault in bad):
        assert len(bad) == len(errors)
    if not bad:
        read = encoding.decode_labels(tags)
        assert spans_from_tags(tags) == [(one.span.start, one.span.end, one.type) for one in read]
        assert list(encoding.encode_mentions(read, len(tags))) == tags


@given(st.data(), st.sampled_from([("IOB1", "conlleval"), ("IOB2", "conlleval"), ("IOB2", "discard")]))
def test_repair_is_that_of_seqscore(data, case):
    """Which repairs these two schemes alone, and IOB1 as conlleval alone."""
    scheme, how = case
    tags = data.draw(random_tags(scheme))
    assert repair_tags(tags, scheme, how) == encodings.get_encoding(SEQSCORE[scheme]).repair_labels(tags, how)


@given(st.data(), schemes, st.sampled_from(["conlleval", "discard"]))
def test_repaired_tags_have_no_fault_and_legal_or_malformed_ones_stay(data, scheme, how):
    tags = data.draw(random_tags(scheme) | random_tags(scheme, more=[*MALFORMED, "X-PER"]))
    bad = tag_errors(tags, scheme)
    repaired = repair_tags(tuple(tags), scheme, how)
    if not bad or any(not fault.transition for fault in bad):
        assert repaired == tags
        return
    assert repaired != tags and tag_errors(repaired, scheme) == []
    read = spans_from_tags(tags)
    if how == "conlleval":
        assert spans_from_tags(repaired) == read
    elif scheme != "IOB1":  # there B is legal for what stands before it; seqscore does not discard in it either
        alone = [["O"] * start + tags[start:end] + ["O"] * (len(tags) - end) for start, end, _ in read]
        assert spans_from_tags(repaired) == [
            one for one, own in zip(read, alone, strict=True) if not tag_errors(own, scheme)
        ]


@pytest.mark.parametrize(
    ("scheme", "tags", "conlleval", "discard"),
    [
        ("IOB2", "O I-PER I-PER", "O B-PER I-PER", "O O O"),
        ("IOB2", "B-PER I-LOC I-LOC B-LOC", "B-PER B-LOC I-LOC B-LOC", "B-PER O O B-LOC"),
        ("IOB1", "O B-PER B-PER I-LOC", "O I-PER B-PER I-LOC", "O O I-PER I-LOC"),
        ("BIOES", "B-PER O", "S-PER O", "O O"),  # what is unfinished goes, though the fault stands behind it
        ("BIOES", "B-PER B-LOC E-LOC", "S-PER B-LOC E-LOC", "O B-LOC E-LOC"),
        ("BIOES", "S-PER E-PER", "S-PER S-PER", "S-PER O"),
        ("BILOU", "B-PER I-PER U-PER L-PER", "B-PER L-PER U-PER U-PER", "O O U-PER O"),
        ("BMES", "M-PER M-PER", "B-PER E-PER", "O O"),
        ("BMEWO", "B-PER", "W-PER", "O"),
        ("BIOE", "B-PER I-PER B-LOC", "B-PER E-PER B-LOC", "O O B-LOC"),
    ],
)
def test_golden_repairs(scheme, tags, conlleval, discard):
    assert repair_tags(tags.split(), scheme, "conlleval") == conlleval.split()
    assert repair_tags(tags.split(), scheme, "discard") == discard.split()


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
    assert spans_from_tags(tags.split()) == entities


@given(st.lists(st.text(max_size=6), max_size=6), schemes)
def test_any_text_as_a_tag_is_read_or_named_as_malformed(tags, scheme):
    bad = {fault.word for fault in tag_errors(tags, scheme)}
    assert all(0 <= word < len(tags) for word in bad)
    for index, tag in enumerate(tags):
        try:
            prefix, kind = split_tag(tag)
        except ValueError:
            assert index in bad
        else:
            assert tag == (f"{prefix}-{kind}" if kind else "O")
    for start, end, kind in spans_from_tags(tags):
        assert kind and 0 <= start < end <= len(tags)


@pytest.mark.parametrize("tag", [*MALFORMED, "o", " O", "O-", "B-\u00a0", "Ｂ－PER"])
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
        ("IOB2", "B-PER O-PER I-PER", [1, 2]),
        ("IOB1", "B-PER I-PER B-PER B-LOC", [0, 3]),
        ("IOB1", "I-PER S-PER B-PER", [1, 2]),
        ("IO", "I-PER I-LOC B-PER I-PER", [2]),
        ("BILOU", "B-PER I-PER O L-PER U-PER S-PER", [2, 3, 5]),
        ("BMES", "B-PER M-PER I-PER E-PER", [2, 3]),
        ("BMEWO", "W-PER S-PER", [1]),
        ("TAGS", "S-PER B-PER O PER", [1, 3]),
    ],
)
def test_each_fault_stands_at_its_word(scheme, tags, words):
    assert [fault.word for fault in tag_errors(tags.split(), scheme)] == words


def test_a_fault_says_what_came_before():
    (fault,) = tag_errors(["O", "I-creative-work"], "IOB2")
    assert fault.reason == "I-creative-work cannot follow O in IOB2"
    (fault,) = tag_errors(["B-PER"], "BIOES")
    assert fault.reason == "B-PER cannot end a sentence in BIOES"
    assert tag_errors(["X", "I-PER"], "IOB2")[1].reason == "I-PER cannot follow X in IOB2"
    assert tag_errors(["M-PER"], "BIOE")[0].reason == "unknown prefix 'M' in 'M-PER': BIOE has B, E, I, O"


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_a_label_list_has_every_prefix_of_every_type(scheme):
    assert len(set(label_list(TYPES, scheme))) == 1 + len(TYPES) * len(SCHEMES[scheme])


def test_transitions_hold_legality_of_each_pair():
    labels = label_list(TYPES)
    matrix = transitions(labels)
    ends = [*labels, None]
    assert matrix.shape == (len(labels) + 1,) * 2
    assert all(matrix[i, j] == legal(a, b, INNER_SCHEME) for (i, a), (j, b) in product(enumerate(ends), repeat=2))
    assert matrix[-1, 0] and matrix[0, -1]


@given(st.sets(st.sampled_from(TYPES)), st.randoms())
def test_the_label_list_does_not_depend_on_the_order_of_types(kinds, random):
    shuffled = [*kinds, *kinds]
    random.shuffle(shuffled)
    assert label_list(shuffled) == label_list(sorted(kinds))


@given(st.lists(st.sampled_from([*label_list(TYPES[:2]), "M-PER", "U-PER", *MALFORMED]), min_size=1), schemes)
def test_misfits_are_as_many_as_faults(tags, scheme):
    assert count_violations(tag_bigrams([tags]), scheme) == len(tag_errors(tags, scheme))


def test_pairs_are_counted_over_sentences_with_their_edges():
    pairs = tag_bigrams([["O", "O", "B-A"], ("O",)])
    assert pairs == {(None, "O"): 2, ("O", "O"): 1, ("O", "B-A"): 1, ("B-A", None): 1, ("O", None): 1}


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("O B-PER I-PER", "IOB2"),
        ("O B-PER", "IOB2"),
        ("O", "IOB2"),
        ("I-PER I-LOC O", "IO"),
        ("I-PER B-PER O", "IOB1"),
        ("B-PER I-PER E-PER", "BIOE"),
        ("B-PER E-PER B-LOC", "BIOE"),
        ("B-PER E-PER S-LOC", "BIOES"),
        ("S-LOC", "BIOES"),
        ("B-PER M-PER E-PER S-PER", "BMES"),
        ("B-PER I-PER L-PER U-PER", "BILOU"),
        ("U-PER", "BILOU"),
        ("B-PER M-PER E-PER W-PER", "BMEWO"),
        ("B-PER nonsense", "IOB2"),
        ("PER LOC", "TAGS"),
    ],
)
def test_the_scheme_is_told_by_what_fewest_tags_break(tags, scheme):
    assert detect_scheme(tag_bigrams([tags.split()])).scheme == scheme


def test_the_evidence_holds_the_counts():
    pairs = tag_bigrams([["B-A", "I-A", "O"], ["I-B", "B-B"], ["B-A", "odd"]])
    others = "IO 4, IOB1 3, BIOE 4, BIOES 5, BMES 4, BILOU 5, BMEWO 4"
    assert detect_scheme(pairs) == ("IOB2", f"3 B-, 2 I-; 2 violate it (other schemes: {others})")
    assert detect_scheme({}) == ("IOB2", "no entity in 0 tags")
    assert detect_scheme(tag_bigrams([["O", "O"]])) == ("IOB2", "no entity in 2 tags")
    assert detect_scheme(tag_bigrams([["X", "Y", "X"]])).evidence == "2 different tags, none of them O or PREFIX-TYPE"


UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X _"
PENN = (
    "CC CD DT EX FW IN JJ JJR JJS LS MD NN NNS NNP NNPS PDT POS PRP PRP$ RB RBR RBS RP SYM TO UH VB VBD VBG VBN VBP "
    "VBZ WDT WP WP$ WRB `` '' -LRB- -RRB- , . : $ # AFX HYPH NFP ADD GW XX"
)
STTS = "ADJA APPRART ART CARD $( $, $. KOKOM KOUI NE NN PTKVZ TRUNC VVFIN XY"
BROWN = "AT-TL NN-HL *-HL ,-HL .-HL --HL --- FW-IN VBD (-HL BEDZ* NP$"
PRAGUE = "NNMS1-----A---- J^------------- Z:------------- TT-------------"
CHINESE = "NN NR NT-SHORT VV AD M P DEG PU URL"


@pytest.mark.parametrize("tags", [UPOS, PENN, STTS, BROWN, PRAGUE, CHINESE, "B I E S", "名詞 助詞 補助記号"])
def test_a_tag_a_word_is_told_and_read_as_entities_of_one_word(tags):
    tags = tags.split()
    assert detect_scheme(tag_bigrams([tags, tags[:1]])).scheme == "TAGS"
    entities = [f"S-{tag}" for tag in tags]  # as the corpus has them
    assert not tag_errors(entities, "TAGS")
    assert spans_from_tags(entities) == [(place, place + 1, tag) for place, tag in enumerate(tags)]
    assert tags_from_spans(spans_from_tags(entities), len(tags), "TAGS") == entities


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ("O O PER PER", "no entity in 2 tags, and 2 tags such as 'PER'"),  # types without prefixes
        ("O B_PER I_PER", "no entity in 1 tags, and 2 tags such as 'B_PER', 'I_PER'"),
        ("O b-per i-per", "such as 'b-per', 'i-per'"),
        ("O X-PER", "such as 'X-PER'"),
        ("B-A I-A a b b c c c d d d d", "1 B-, 1 I-, and 10 tags such as 'd', 'c', 'b'"),
        ("O " + "x" * 1000, "such as 'xxxxxxxxxxxxxxxxxxxx'"),
    ],
)
def test_tags_of_no_scheme_are_an_error_that_shows_the_most_frequent(tags, said):
    with pytest.raises(DataError) as caught:
        detect_scheme(tag_bigrams([tags.split()]))
    assert caught.value.where == "data.scheme" and caught.value.got.endswith(said)
    assert all(scheme in caught.value.do for scheme in SCHEMES)


@pytest.mark.parametrize(
    ("tags", "got"),
    [
        ("b-per i-per o o", "'b-per', a tag in lower case"),
        ("PER _", "1 tags '_', which looks like O"),
        ("0 0 PER", "2 tags '0', which looks like O"),
        ("1 0 2 1", "only numbers, such as '1', '0', '2'"),
    ],
)
def test_entities_without_a_scheme_are_no_tags_of_single_words(tags, got):
    with pytest.raises(DataError, match=r"data.scheme: TAGS") as caught:
        detect_scheme(tag_bigrams([tags.split()]))
    assert caught.value.got == got


@pytest.mark.parametrize("kind", ["B-PER", "I-PER", "I-Disease"])
def test_a_tag_is_no_type(kind):
    assert type_fault(kind, "IOB2") == f"{kind} is a tag of a word, not a type"
    assert type_fault(kind, "TAGS") == ""


@pytest.mark.parametrize("kind", ["B-cell", "B-Cell", "E-mail", "U-Boot", "X-Y", "I-95"])
def test_a_type_may_have_a_hyphen(kind):
    assert type_fault(kind, "IOB2") == ""


def written(source: random.Random, scheme: str) -> list[list[str]]:
    """300 sentences with entities of one to four words, some of which adjoin."""
    corpus = []
    for _ in range(300):
        found, place = [Span(0, 0, "")], 0
        for _ in range(source.randint(0, 4)):
            start = place + source.choice((0, 0, 1, 2, 6))
            place = start + source.randint(1, 4)
            one = Span(start, place, source.choice(TYPES))
            if sayable([found[-1], one], scheme):
                found.append(one)
        length = place + source.randint(1, 3)
        corpus.append(tags_from_spans(found[1:], length, scheme))
    return corpus


@given(st.integers(0, 2**32), st.sampled_from(DETECTED), st.sampled_from([0, 1, 5, 300]))
def test_a_corpus_is_legal_in_its_detected_scheme(seed, scheme, number):
    corpus = written(random.Random(seed), scheme)[:number]
    found, _ = detect_scheme(tag_bigrams(corpus))
    assert not any(tag_errors(tags, found) for tags in corpus)
    if number == 300:
        assert found == scheme


@given(st.integers(0, 2**32), st.sampled_from(DETECTED), st.floats(0, 0.1))
def test_damage_changes_no_detection(seed, scheme, share):
    source = random.Random(seed)
    corpus = written(source, scheme)
    places = [(row, word) for row, tags in enumerate(corpus) for word in range(len(tags))]
    wrong = ["O", *MALFORMED, "X-PER", *label_list(TYPES, scheme)]
    for row, word in source.sample(places, int(share * len(places))):
        corpus[row][word] = source.choice(wrong)
    assert detect_scheme(tag_bigrams(corpus)).scheme == scheme


def test_the_count_of_a_pair_weighs():
    pairs = Counter({("O", "B-A"): 5, ("B-A", "O"): 5, ("O", "I-A"): 6, ("I-A", "O"): 6})
    assert detect_scheme(pairs).scheme == "IOB1"  # IO is violated as often, but has no B
    assert detect_scheme(pairs + Counter({("O", "B-A"): 2})).scheme == "IOB2"


ODD_TYPES = (
    "x y",
    "a/b",
    'it\'s "q"',
    "a[/b]",
    ":smile:",
    "<b>&amp;</b>",
    "a=b:c|d",
    "a,b",
    "-X",
    "组織",
    "😀",
    "x" * 100,
)
ODD_TYPES += ("سازمان\u200cها", "👩\u200d🔬", "null", "micro avg")


@pytest.mark.parametrize("kind", ODD_TYPES)
def test_a_type_may_have_any_visible_name(kind):
    assert type_fault(kind, "IOB2") == type_fault(kind, "TAGS") == ""


@pytest.mark.parametrize(
    "kind", ["", " ", "\u200d", "a\nb", "a\tb", "\x1b[31mX", "a\u00a0b", "\u202ex", "\ufeffX", "x" * 101]
)
def test_a_type_with_another_name_is_refused_with_the_rule(kind):
    for scheme in ("IOB2", "TAGS"):
        assert "allowed are 1 to 100 visible characters and blanks" in type_fault(kind, scheme)


def test_o_is_a_type_among_tags_of_single_words_only():
    assert type_fault("O", "TAGS") == "" and "O stands for no entity" in type_fault("O", "IOB2")
