import sys
from collections import Counter
from dataclasses import replace
from itertools import combinations, pairwise
from types import ModuleType

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fpplm_core.data.alignment import to_annotated_text, to_sentence
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention, Sentence
from fpplm_core.data.segmenter import segmentation
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.tagging.schemes import tag_errors
from fpplm_core.tagging.words import is_edge

# Words, marks, white space of all kinds, nothing to see, right to left, pictures with joiners, scripts without blanks.
PIECES = [
    *("a", "Bc", "1,000", "it's", "-", ".", "e\u0301", "\u0301", "ß", "אב", "عَر", "한국", "हिन्दी"),
    *(" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2028", "\u3000", "\x85"),
    *(
        "\u200b",
        "\ufeff",
        "\u202e",
        "👩\u200d🚀",
        "👍🏽",
        "中国",
        "カﾞ",
        "น้ำ",
        "ကျွန်",
        "ខ្មែ",
        "\U00020000",
        "葛\U000e0100",
        "\0",
    ),
]
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=12)
RULES = [segmentation(name) for name in ("unicode", "whitespace", "characters")]
WIDENED = "mentions widened to whole words"
TWICE = "mentions given twice are read once"
TRIMMED = "mentions without the white space and invisible characters at their edges"
CUT = "words cut at the border of a mention"
OUT = {how: f"mentions left out, as they overlap the {how} one" for how in ("longest", "first")}


def record_of(text: str, *mentions: tuple, **more) -> AnnotatedText:
    made = tuple(Mention(*mention, f"a.jsonl:{number}") for number, mention in enumerate(mentions, start=7))
    return AnnotatedText(text, made, "a.jsonl", 3, **more)


@st.composite
def records(draw, apart: bool = False) -> AnnotatedText:
    """A text with mentions at any place in it, duplicates and white space at the edges among them."""
    text = draw(texts)
    places = [place for place, char in enumerate(text) if not is_edge(char)]
    assume(places)
    mentions: list[tuple[int, int, str]] = []
    for _ in range(draw(st.integers(0, 8))):
        inside = draw(st.sampled_from(places))  # it holds a character that is no white space and shows
        start, end = draw(st.integers(0, inside)), draw(st.integers(inside + 1, len(text)))
        if not apart or all(end <= other[0] or other[1] <= start for other in mentions):
            mentions.append((start, end, draw(st.sampled_from(["PER", "LOC", "組-織"]))))
    if mentions and not apart:
        mentions += draw(st.lists(st.sampled_from(mentions), max_size=1))
    return record_of(text, *draw(st.permutations(mentions)))


def bare(record: AnnotatedText, words) -> list[Mention]:
    """The mentions from their first to their last visible character, with the invisible ones of the words there."""
    found = []
    for start, end, label, place in record.mentions:
        hidden = {at for at, char in enumerate(record.text) if is_edge(char)}
        shown = [at for at in range(start, end) if at not in hidden]
        first, last = shown[0], shown[-1] + 1
        for word in words:
            first = word[0] if word[0] <= first < word[1] and hidden >= {*range(word[0], first)} else first
            last = word[1] if word[0] < last <= word[1] and hidden >= {*range(last, word[1])} else last
        found.append(Mention(first, last, label, place))
    return found


def plain(mentions) -> list[tuple[int, int, str]]:
    return sorted(mention[:3] for mention in mentions)


def apart(mentions) -> bool:
    return all(a.end <= b.start or b.end <= a.start for a, b in combinations(mentions, 2))


def kept(mentions: list[Mention], how: str) -> list[Mention]:
    """Which mentions stay: the best goes first, and all that it meets go out; by brute force."""
    rank = {"longest": lambda m: (m.start - m.end, m.start), "first": lambda m: (m.start, m.start - m.end)}[how]
    rest, found = list(mentions), []
    while rest:
        best = min(rest, key=rank)  # of equal ones the first
        rest.remove(best)
        rest = [one for one in rest if one.end <= best.start or best.end <= one.start]
        found.append(best)
    return sorted(found)


def met(mention: Mention, words) -> list[tuple[int, int]]:
    return [(start, end) for start, end in words if start < mention.end and mention.start < end]


def check(sentence: Sentence, record: AnnotatedText) -> list[Mention]:
    """What holds of every sentence that is made; its mentions."""
    assert (sentence.text, sentence.file, sentence.document) == (record.text, record.file, record.document)
    assert len(sentence.words) == len(sentence.tags) == len(sentence.lines) == len(sentence.offsets)
    assert all(
        record.text[start:end] == word for word, (start, end) in zip(sentence.words, sentence.offsets, strict=True)
    )
    assert all(word and word == word.strip() for word in sentence.words)
    assert all(a[1] <= b[0] for a, b in pairwise(sentence.offsets))
    assert tag_errors(sentence.tags, "IOB2") == []
    held = {place for start, end in sentence.offsets for place in range(start, end)}
    if record.words is None:
        assert {place for place, char in enumerate(record.text) if not is_edge(char)} <= held
    back = to_annotated_text(sentence)
    assert (back.text, back.words, back.document) == (record.text, sentence.offsets, record.document)
    return list(back.mentions)


def once(mentions: list[Mention]) -> list[Mention]:
    """Without mentions of which an earlier one has the same place and label."""
    return [m for number, m in enumerate(mentions) if m[:3] not in [other[:3] for other in mentions[:number]]]


@given(records(apart=True), st.sampled_from(RULES))
def test_with_split_mentions_that_do_not_overlap_come_back_as_they_are(record, rule):
    options = Options(segment=rule, misaligned="split")
    sentence = to_sentence(record, options)
    whole = to_sentence(replace(record, mentions=()), options)
    mentions = bare(record, whole.offsets)
    assert plain(check(sentence, record)) == plain(mentions)
    borders = {border for mention in mentions for border in mention[:2]}
    cut = [word for word in whole.offsets if any(word[0] < border < word[1] for border in borders)]
    trimmed = sum(one[:2] != other[:2] for one, other in zip(record.mentions, mentions, strict=True))
    assert options.notes.counts == +Counter({CUT: len(cut), TRIMMED: trimmed})
    assert set(whole.offsets) - set(sentence.offsets) == set(cut)
    assert to_sentence(to_annotated_text(sentence), Options()) == sentence  # as it gives its words, nothing is changed


@given(records(), st.sampled_from(["longest", "first"]), st.sampled_from(["expand", "split"]), st.sampled_from(RULES))
def test_what_stays_is_what_brute_force_keeps_and_the_rest_is_counted(record, overlap, misaligned, rule):
    options = Options(segment=rule, misaligned=misaligned, overlap=overlap)
    found = check(to_sentence(record, options), record)
    words = to_sentence(replace(record, mentions=()), options).offsets
    mentions = bare(record, words)
    notes = Counter({TRIMMED: sum(one[:2] != other[:2] for one, other in zip(record.mentions, mentions, strict=True))})
    notes[TWICE] = len(mentions) - len(once(mentions))
    mentions = once(mentions)
    if misaligned == "expand":
        for number, mention in enumerate(mentions):
            whole = met(mention, words)
            mentions[number] = mention._replace(start=whole[0][0], end=whole[-1][1])
            notes[WIDENED] += mentions[number] != mention
        notes[TWICE] += len(mentions) - len(once(mentions))
        mentions = once(mentions)
    assert apart(found)
    assert plain(found) == plain(kept(mentions, overlap))
    notes[OUT[overlap]] = len(mentions) - len(found)
    options.notes.counts.pop(CUT, None)
    assert options.notes.counts == +notes


@given(records(), st.sampled_from(["refuse", "expand", "split"]), st.sampled_from(RULES))
def test_what_overlaps_or_is_misaligned_is_refused_at_its_place(record, misaligned, rule):
    options = Options(segment=rule, misaligned=misaligned)
    words = to_sentence(replace(record, mentions=()), options).offsets
    mentions = once(bare(record, words))
    whole = [mention._replace(start=met(mention, words)[0][0], end=met(mention, words)[-1][1]) for mention in mentions]
    made = once(whole) if misaligned == "expand" else mentions
    wrong = {m.place for m, n in zip(made, whole, strict=True) if m != n} if misaligned == "refuse" else set()
    meeting = {m.place for m in made if not all(apart([m, n]) for n in made if n is not m)}
    if not meeting and not wrong:
        assert plain(check(to_sentence(record, options), record)) == plain(made)
        return
    with pytest.raises(DataError) as caught:
        to_sentence(record, options)
    assert caught.value.where in (meeting or wrong)
    assert caught.value.what == ("two mentions overlap" if meeting else "a mention begins or ends inside a word")
    assert "data.overlap" in caught.value.do if meeting else "data.misaligned" in caught.value.do


@given(st.data(), st.sampled_from(["refuse", "expand", "split"]))
def test_the_words_that_a_file_gives_are_kept(data, misaligned):
    record = data.draw(records(apart=True))
    size = len(record.text)
    words = list(pairwise([0, *(place for place in range(1, size) if data.draw(st.booleans())), size]))
    left_out = data.draw(st.sets(st.sampled_from(words), max_size=1))
    given_words = tuple(word for word in words if word not in left_out)  # some with white space in them
    record = replace(record, words=given_words)
    options = Options(misaligned=misaligned)
    stripped = []
    for start, end in given_words:
        places = [place for place in range(start, end) if not record.text[place].isspace()]
        stripped += [(places[0], places[-1] + 1)] if places else []
    places = {place for start, end in stripped for place in range(start, end)}
    mentions = bare(record, stripped)
    gaps = {mention.place for mention in mentions if not {mention.start, mention.end - 1} <= places}
    aligned = {border for word in stripped for border in word}
    wrong = {mention.place for mention in mentions if not set(mention[:2]) <= aligned} - gaps
    try:
        sentence = to_sentence(record, options)
    except DataError as error:
        assert (
            error.where in gaps | (wrong if misaligned == "refuse" else set()) or "two mentions overlap" in error.what
        )
        assert "overlap" not in error.what or misaligned == "expand"
        return
    assert not gaps and not (wrong and misaligned == "refuse")
    found = check(sentence, record)
    if misaligned == "split":
        assert {place for word in sentence.offsets for place in range(*word)} <= places
        assert plain(found) == plain(mentions)
    else:
        assert list(sentence.offsets) == stripped
        assert options.notes.counts[WIDENED] == (len(wrong) if misaligned == "expand" else 0)
    changed = len(given_words) - len(set(given_words) & set(stripped))
    assert options.notes.counts["white space left out of given words"] == changed


def tagged(sentence: Sentence) -> list[tuple[str, str]]:
    return list(zip(sentence.words, sentence.tags, strict=True))


@pytest.mark.parametrize(
    ("text", "mention", "misaligned", "pairs"),
    [
        ("in Berlin.", (3, 9), "refuse", "in O Berlin B . O"),
        ("ex-Berliner ", (3, 9), "expand", "ex-Berliner B"),
        ("ex-Berliner", (3, 9), "split", "ex- O Berlin B er O"),
        ("a New\u00a0York-based b", (2, 10), "expand", "a O New B York-based I b O"),
        ("a New\r\nYork-based b", (1, 11), "split", "a O New B York I -based O b O"),
        ("我在北京。", (2, 4), "refuse", "我 O 在 O 北 B 京 I 。 O"),
        ("東京タワーへ", (0, 5), "refuse", "東 B 京 I タ I ワ I ー I へ O"),
        ("ไปน้ำตก", (2, 5), "refuse", "ไ O ป O น้ำ B ต O ก O"),
        ("ไปน้ำ", (3, 5), "expand", "ไ O ป O น้ำ B"),
        ("cafe\u0301s", (0, 5), "split", "cafe\u0301 B s O"),
        ("cafe\u0301", (0, 4), "split", "cafe B \u0301 O"),
        ("👩\u200d🚀!", (0, 3), "refuse", "👩\u200d🚀 B ! O"),
        ("\u202eאבג\u202c", (1, 4), "refuse", "אבג B"),
        ("\u200bQuarl\u200b is", (0, 7), "refuse", "Quarl B is O"),
        ("Brenn\ufeff", (0, 6), "refuse", "Brenn B"),
        ("by Zorvek\u202c.", (3, 10), "refuse", "by O Zorvek B . O"),
        ("\u2060 Ab\x00", (0, 5), "refuse", "Ab B \x00 O"),
        ("क्\u200d ष", (0, 2), "refuse", "क्\u200d B ष O"),  # the joiner stays with its letter
        ("\U00020000\U0001f600a", (1, 2), "refuse", "\U00020000 O \U0001f600 B a O"),
    ],
)
def test_golden_alignments(text, mention, misaligned, pairs):
    record = record_of(text, (*mention, "X"))
    cells = iter(pairs.split(" "))
    wanted = [(word, tag if tag == "O" else f"{tag}-X") for word, tag in zip(cells, cells, strict=True)]
    assert tagged(to_sentence(record, Options(misaligned=misaligned))) == wanted


ONE_WORD = record_of("a ab-cd gh", (0, 4, "A"), (5, 10, "LONG"), (4, 5, "-"), (5, 6, "c"))


@pytest.mark.parametrize(
    ("overlap", "tags", "out"),
    [("longest", "O B-LONG I-LONG", ["A", "-", "c"]), ("first", "B-A I-A O", ["LONG", "-", "c"])],
)
def test_mentions_that_come_to_share_a_word_are_settled_by_what_they_have_become(overlap, tags, out):
    options = Options(misaligned="expand", overlap=overlap)
    assert to_sentence(ONE_WORD, options).tags == tuple(tags.split())
    assert [place.split()[1] for place in options.notes.places[OUT[overlap]]] == out
    assert options.notes.places[OUT[overlap]][2] == "a.jsonl:10: c 'ab-cd', 2 to 7"
    assert options.notes.places[WIDENED][3] == "a.jsonl:10: c 'c', 5 to 6"
    assert options.notes.counts == {WIDENED: 4, OUT[overlap]: 3}


def test_a_mention_may_meet_the_one_before_it_and_the_one_behind_it():
    mentions = ((2, 7, "A"), (10, 15, "B"), (0, 3, "C"), (6, 10, "D"), (9, 11, "E"), (14, 18, "F"), (7, 10, "G"))
    record = record_of("abcdefghijklmnopqrst", *mentions)
    sentence = to_sentence(record, Options(misaligned="split", overlap="longest"))
    assert plain(to_annotated_text(sentence).mentions) == [(2, 7, "A"), (7, 10, "G"), (10, 15, "B")]


def test_mentions_that_come_to_share_a_word_are_refused_with_both_named():
    with pytest.raises(DataError) as caught:
        to_sentence(ONE_WORD, Options(misaligned="expand"))
    assert str(caught.value) == (
        "a.jsonl:8: two mentions overlap, got LONG 'ab-cd gh', 2 to 10; it overlaps A 'a ab-cd', 0 to 7; "
        "set data.overlap to longest or first, or data.misaligned to split"
    )


@pytest.mark.parametrize(
    ("mention", "text", "said"),
    [
        ((-1, 2, "X"), "abc", "not a range in a text of 3 characters, got X 'ab', -1 to 2"),
        ((2, 2, "X"), "abc", "not a range in a text of 3 characters, got X '', 2 to 2"),
        ((2, 1, "X"), "abc", "not a range in"),
        ((0, 4, "X"), "abc", "not a range in"),
        ((10**30, 10**31, "X"), "abc", "not a range in"),
        ((0, 1, "X"), "", "not a range in a text of 0 characters"),
        ((1, 2, "X"), "a\u2028b", "a mention without a visible character, got X '\\u2028', 1 to 2"),
        ((0, 1, ""), "abc", "a label is empty"),
        ((0, 1, "X "), "abc", "a label is empty or surrounded by blanks"),
        ((1, 2, "a\nb" * 99), "abc", "a mention begins or ends inside a word, got a ba ba"),
        ((0, 80, "X"), "y" * 999, f"a mention begins or ends inside a word, got X '{'y' * 60}', 0 to 80; correct it"),
    ],
)
@pytest.mark.parametrize("place", ["a.jsonl:8", ""])
def test_what_is_no_mention_is_refused_at_its_place_or_that_of_its_text(mention, text, said, place):
    record = AnnotatedText(text, (Mention(*mention, place),), "a.jsonl", 3)
    with pytest.raises(DataError) as caught:
        to_sentence(record, Options())
    assert str(caught.value).startswith(f"{place or 'a.jsonl:3'}: {said}")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_invisible_characters_at_the_edge_of_a_mention_stay_where_they_are_part_of_the_word():
    record = record_of("a \u200bQuarl\u200b b", (3, 8, "LOC"))
    for misaligned in ("refuse", "expand", "split"):
        options = Options(segment=segmentation("whitespace"), misaligned=misaligned)
        assert tagged(to_sentence(record, options)) == [("a", "O"), ("\u200bQuarl\u200b", "B-LOC"), ("b", "O")]
    record = replace(record, mentions=(Mention(2, 9, "LOC"),), words=((0, 1), (2, 3), (3, 8), (8, 9), (10, 11)))
    for misaligned in ("refuse", "expand", "split"):
        tags = tagged(to_sentence(record, Options(misaligned=misaligned)))
        assert tags[1:4] == [("\u200b", "O"), ("Quarl", "B-LOC"), ("\u200b", "O")]


@pytest.mark.parametrize("words", [((0, 2), (1, 3)), ((2, 3), (0, 1)), ((0, 0),), ((-1, 2),), ((0, 4),), ((2, 1),)])
def test_words_out_of_order_are_refused_at_the_place_of_their_text(words):
    with pytest.raises(DataError, match=r"^a.jsonl:3: words out of order, got .* characters; correct"):
        to_sentence(record_of("abc", words=words), Options())


@pytest.mark.parametrize("misaligned", ["refuse", "expand", "split"])
@pytest.mark.parametrize("mention", [(2, 3), (2, 5), (0, 3), (1, 3)])
def test_a_mention_that_begins_or_ends_between_the_given_words_is_refused(mention, misaligned):
    record = record_of("ab-cd", (*mention, "X"), words=((0, 2), (3, 5)))
    with pytest.raises(DataError, match=r"^a.jsonl:7: a mention begins or ends outside the words, got X "):
        to_sentence(record, Options(misaligned=misaligned))
    assert to_sentence(record_of("ab-cd", (0, 5, "X"), words=record.words), Options()).tags == ("B-X", "I-X")


def test_a_word_with_white_space_in_it_is_cut_into_words_without():
    record = record_of(" New York ", (4, 9, "X"), words=((0, 10),))
    assert tagged(to_sentence(record, Options(misaligned="split"))) == [("New", "O"), ("York", "B-X")]


@pytest.mark.parametrize("record", [record_of(""), record_of(" \n\u00a0"), record_of(" a ", words=((0, 1), (2, 3)))])
def test_a_text_without_a_word_is_an_empty_sentence(record):
    sentence = to_sentence(record, Options())
    assert (sentence.words, sentence.tags, sentence.lines, sentence.offsets) == ((), (), (), ())
    assert (sentence.text, sentence.place) == (record.text, "a.jsonl")
    assert to_annotated_text(sentence).mentions == ()


@given(st.lists(st.sampled_from(["a", "bc", "\n", "\r\n", " ", "\u2028", "\r"]), max_size=20).map("".join))
def test_words_of_a_text_that_is_its_file_have_the_lines_of_the_file(text):
    sentence = to_sentence(AnnotatedText(text, (), "a.txt", 5, plain=True), Options())
    rows = [(number, word) for number, row in enumerate(text.split("\n"), start=5) for word in row.split()]
    assert list(zip(sentence.lines, sentence.words, strict=True)) == rows
    assert set(to_sentence(record_of(text), Options()).lines) <= {3}


def test_a_cut_is_noted_with_its_line():
    options = Options(misaligned="split")
    to_sentence(AnnotatedText("a\nb\ncd", (Mention(5, 6, "X"),), "a.txt", 1, plain=True), options)
    assert options.notes.places == {CUT: ["a.txt:3: 'cd'"]}


def test_a_sentence_without_a_text_is_joined_by_blanks():
    sentence = Sentence(("New", "York", "中"), ("B-X", "I-X", "B-Y"), "a.conll", (4, 5, 6), 2)
    mentions = (Mention(0, 8, "X", "a.conll:4"), Mention(9, 10, "Y", "a.conll:6"))
    words = ((0, 3), (4, 8), (9, 10))
    assert to_annotated_text(sentence) == AnnotatedText("New York 中", mentions, "a.conll", 4, 2, words)
    assert to_annotated_text(Sentence((), (), "a.conll", ())) == AnnotatedText("", (), "a.conll", 1, None, ())


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b.c", "中"]), st.sampled_from(["O", "B-X", "I-X", "B-O-X"])), max_size=8)
)
def test_tags_come_back_from_mentions(pairs):
    sentence = Sentence(tuple(w for w, _ in pairs), tuple(t for _, t in pairs), "a", (1,) * len(pairs))
    assume(not tag_errors(sentence.tags, "IOB2"))
    back = to_sentence(to_annotated_text(sentence), Options())
    assert (back.words, back.tags) == (sentence.words, sentence.tags)


@pytest.fixture
def segmenter(monkeypatch):
    """Makes a module with a segmenter; a text to its words by it."""

    def make(function):
        name = f"segmenter_{id(function)}"
        module = ModuleType(name)
        module.cut = function
        monkeypatch.setitem(sys.modules, name, module)
        return segmentation(f"{name}:cut")

    return make


def test_words_may_come_from_a_segmenter(segmenter):
    record = record_of("我在 北京。", (3, 5, "X"))
    segment = segmenter(lambda text: iter(["我在", " ", "北京", "。"]))
    assert tagged(to_sentence(record, Options(segment=segment))) == [("我在", "O"), ("北京", "B-X"), ("。", "O")]
    with pytest.raises(ParamsError, match=r"^data.segmentation: segmenter_.*:cut: the segmenter omits the end of"):
        to_sentence(record, Options(segment=segmenter(lambda text: ["我"])))


def test_the_same_mention_given_twice_is_read_once_and_two_labels_overlap():
    text = "Mira Holt visited Quarl."
    copies = (Mention(0, 9, "PER"), Mention(18, 23, "LOC"), Mention(0, 9, "PER", "a:7"), Mention(0, 10, "PER"))
    options = Options()
    sentence = to_sentence(AnnotatedText(text, copies, "a", 1), options)
    assert sentence.tags == ("B-PER", "I-PER", "O", "B-LOC", "O")
    assert options.notes.counts == {TRIMMED: 1, TWICE: 2}
    assert options.notes.places[TWICE] == ["a:7: PER 'Mira Holt', 0 to 9", "a:1: PER 'Mira Holt', 0 to 9"]
    with pytest.raises(DataError, match="two mentions overlap"):
        to_sentence(AnnotatedText(text, (*copies, Mention(0, 9, "ORG")), "a", 1), Options())


def test_mentions_that_widening_makes_equal_are_one():
    record = AnnotatedText("Grossberlin", (Mention(0, 5, "LOC"), Mention(5, 11, "LOC")), "a", 1)
    assert to_sentence(record, Options(misaligned="expand")).tags == ("B-LOC",)


def test_an_endless_offset_is_shown_in_part():
    with pytest.raises(DataError, match="not a range in a text of 4 characters") as caught:
        to_sentence(AnnotatedText("Mira", (Mention(0, 10**4000, "PER"),), "a", 1), Options())
    assert len(str(caught.value)) < 200
