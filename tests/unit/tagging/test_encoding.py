from itertools import pairwise, repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors

from fpplm_core.tagging.windows import WORD_SHAPES, Window, WindowBuilder, window_bounds, word_shape

CAPACITY = 14  # of a window of 16 pieces with [CLS] and [SEP]


@st.composite
def layouts(draw) -> tuple[np.ndarray, int, int]:
    """Pieces of each word, capacity, stride: as params.yaml allows them (stride < window / 2)."""
    capacity = draw(st.integers(4, 20))
    stride = draw(st.integers(0, (capacity + 1) // 2))
    longest = draw(st.integers(1, capacity))
    lengths = draw(st.lists(st.integers(1, longest), max_size=60))
    return np.array(lengths, dtype=np.intp), capacity, stride


@given(layouts())
def test_every_word_is_owned_once_in_order_by_a_window_that_holds_it(layout):
    lengths, capacity, stride = layout
    windows = window_bounds(lengths, capacity, stride)
    assert [word for _, _, owned in windows for word in owned] == list(range(len(lengths)))
    for start, end, owned in windows:
        assert len(owned) > 0
        assert 0 <= start <= owned[0] <= owned[-1] < end <= len(lengths)
        assert lengths[start:end].sum() <= capacity


@given(layouts())
def test_neighbours_share_the_stride_where_words_are_short(layout):
    lengths, capacity, stride = layout
    lengths = np.minimum(lengths, max(1, (capacity - stride + 1) // 2))
    windows = window_bounds(lengths, capacity, stride)
    longest = lengths.max(initial=0)
    for (_, end, _), (start, _, _) in pairwise(windows):
        assert stride <= lengths[start:end].sum() < stride + longest
    for start, end, _ in windows[:-1]:
        assert lengths[start : end + 1].sum() > capacity  # one more word would not fit


@given(st.integers(4, 20), st.data())
def test_a_word_is_owned_by_the_window_that_shows_most_around_it(capacity, data):
    words, stride = data.draw(st.integers(capacity, 100)), data.draw(st.integers(0, (capacity + 1) // 2))
    windows = window_bounds(np.ones(words, dtype=np.intp), capacity, stride)

    def shown(word: int, start: int, end: int) -> int:
        """Words on the poorer side; beyond the edges of the sentence nothing is missing."""
        return min(word - start if start else words, end - 1 - word if end < words else words)

    for start, end, owned in windows:
        for word in owned:
            others = [shown(word, s, e) for s, e, _ in windows if s <= word < e]
            assert shown(word, start, end) >= max(others) - 1


def test_golden_cuts():
    ones = np.ones(20, dtype=np.intp)
    assert window_bounds(ones, 10, 4) == [(0, 10, range(0, 8)), (6, 16, range(8, 14)), (12, 20, range(14, 20))]
    assert window_bounds(ones, 10, 0) == [(0, 10, range(0, 10)), (10, 20, range(10, 20))]
    assert window_bounds(ones, 20, 9) == [(0, 20, range(0, 20))]
    assert window_bounds(ones[:0], 10, 4) == []
    assert window_bounds(np.array([10, 10, 10]), 10, 4) == [(i, i + 1, range(i, i + 1)) for i in range(3)]


@pytest.fixture(scope="session")
def tokenizer_file(tiny_encoder):
    return str(tiny_encoder / "tokenizer.json")


@pytest.fixture(scope="module")
def tokenizer(tokenizer_file):
    return Tokenizer.from_file(tokenizer_file)


@pytest.fixture
def make(tokenizer_file):
    """Encoders with a piece cache of their own."""

    def make_encoder(window: int = CAPACITY + 2, stride: int = 4) -> WindowBuilder:
        return WindowBuilder(Tokenizer.from_file(tokenizer_file), window, stride)

    return make_encoder


words = st.one_of(
    st.sampled_from(["the", "Rivers", "a-b", "\u200b", "\u4e2d\u6587", "x" * 30, "café", "[SEP]", "", "\u00a0"]),
    st.text(max_size=4),
)
texts = st.lists(st.lists(words, max_size=30), max_size=4)


def check(encoder: WindowBuilder, sentences: list[list[str]], windows: list[Window]) -> None:
    """Every word of every sentence has one place, and there stand its pieces."""
    assert [(w.sentence, word) for w in windows for word in w.owned_words] == [
        (number, word) for number, sentence in enumerate(sentences) for word in range(len(sentence))
    ]
    for window in windows:
        assert window.owned_words
        assert len(window.ids) <= encoder.window
        assert window.ids[: len(encoder.prefix)] == encoder.prefix
        assert window.ids[len(window.ids) - len(encoder.suffix) :] == encoder.suffix
        assert len(window.first_pieces) == len(window.owned_words)
        for word, first in zip(window.owned_words, window.first_pieces, strict=True):
            (pieces,) = encoder.pieces([sentences[window.sentence][word]])
            assert window.ids[first : first + len(pieces)] == pieces


@given(texts)
def test_every_word_has_its_pieces_at_its_place(make_once, sentences):
    check(make_once, sentences, make_once.windows(sentences))


@pytest.fixture(scope="module")
def make_once(tokenizer_file):
    """One encoder for all examples: its piece cache fills from one to the next."""
    return WindowBuilder(Tokenizer.from_file(tokenizer_file), CAPACITY + 2, 4)


@given(texts)
def test_a_full_cache_and_none_give_the_same(make_once, tokenizer_file, sentences):
    fresh = WindowBuilder(Tokenizer.from_file(tokenizer_file), CAPACITY + 2, 4)
    make_once.pieceless = make_once.cut_words = 0
    assert make_once.windows(sentences) == fresh.windows(sentences) == fresh_one_by_one(fresh, sentences)
    assert 2 * make_once.pieceless == fresh.pieceless
    assert 2 * make_once.cut_words == fresh.cut_words


def fresh_one_by_one(encoder: WindowBuilder, sentences: list[list[str]]) -> list[Window]:
    return [
        Window(number, window.ids, window.owned_words, window.first_pieces, window.types)
        for number, sentence in enumerate(sentences)
        for window in encoder.windows([sentence])
    ]


def test_the_cache_is_bounded_and_what_it_forgets_is_encoded_again(make):
    encoder = make()
    encoder._pieces = dict(zip(map(str, range(500_000)), repeat([0]), strict=False))
    assert encoder.pieces(["the", "7", "new"]) == make().pieces(["the", "7", "new"])
    assert len(encoder._pieces) == 3


def test_a_sentence_that_fits_is_what_the_tokenizer_itself_makes(make):
    encoder = make(window=64)
    sentence = ["The", "rivers", "of", "London", ",", "1,000", "words"]
    (window,) = encoder.windows([sentence])
    reference = encoder.tokenizer.encode(sentence, is_pretokenized=True)
    assert window.ids == reference.ids
    assert window.owned_words == list(range(7))
    assert window.first_pieces == [reference.word_to_tokens(word)[0] for word in range(7)]


def test_words_without_pieces_get_the_filler_and_are_counted(make):
    encoder = make()
    sentences = [["a", "\u200b", "b"], [], ["\u200b\ufeff"], ["\u200b"]]
    windows = encoder.windows(sentences)
    assert [w.sentence for w in windows] == [0, 2, 3]
    unknown = encoder.tokenizer.token_to_id("[UNK]")
    assert windows[0].ids[windows[0].first_pieces[1]] == unknown
    assert windows[1].ids == [*encoder.prefix, unknown, *encoder.suffix]
    assert encoder.pieceless == 3
    check(encoder, sentences, windows)


def test_a_word_beyond_a_window_keeps_its_leading_pieces_and_is_counted(make):
    encoder = make()
    sentence = ["the", "x" * 90, "y", "z" * (CAPACITY + 1), "w" * CAPACITY]
    windows = encoder.windows([sentence])
    check(encoder, [sentence], windows)
    assert encoder.pieces(["x" * 90])[0] == make(window=128).pieces(["x" * 90])[0][:CAPACITY]
    assert encoder.cut_words == 2 + 2 + 1  # in the windows, in check, in the line above


def test_a_long_sentence_shows_each_word_the_pieces_that_a_short_one_does(make):
    sentence = [f"w{number}" for number in range(200)]
    windows = make().windows([sentence])
    assert len(windows) > 40
    long_capacity = make(window=2000)
    (whole,) = long_capacity.windows([sentence])
    for window in windows:
        start = window.first_pieces[0] - whole.first_pieces[window.owned_words[0]]
        for word, first in zip(window.owned_words, window.first_pieces, strict=True):
            assert first - whole.first_pieces[word] == start


@pytest.mark.parametrize("template", [None, "$A", "[CLS] $A", "$A [SEP]", "[CLS] [MASK] $A [SEP] [SEP]"])
def test_special_pieces_are_those_of_the_tokenizer(tokenizer_file, template):
    tokenizer = Tokenizer.from_file(tokenizer_file)
    names = ("[CLS]", "[SEP]", "[MASK]")
    special = [(name, tokenizer.token_to_id(name)) for name in names]
    if template is None:
        tokenizer.post_processor = processors.Sequence([])
    else:
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    encoder = WindowBuilder(tokenizer, 16, 4)
    sentence = ["the", "city"] * 20
    windows = encoder.windows([sentence])
    check(encoder, [sentence], windows)
    assert encoder.capacity == 16 - sum((template or "").count(name) for name in names)
    alone = encoder.windows([["the", "city"]])
    assert [w.ids for w in alone] == [tokenizer.encode("the city").ids]


@pytest.mark.parametrize("word", ["[SEP]", "[CLS]", "[MASK]", "[PAD]", "a[SEP]b"])
def test_a_word_that_is_written_like_a_special_piece_is_text(make_once, word):
    (window,) = make_once.windows([["the", word, "city"]])
    special = [make_once.tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]", "[MASK]", "[PAD]")]
    assert [place for place, index in enumerate(window.ids) if index in special] == [0, len(window.ids) - 1]
    assert len(window.first_pieces) == 3


def test_padding_and_truncation_that_a_tokenizer_file_asks_for_are_switched_off(tokenizer_file):
    tokenizer = Tokenizer.from_file(tokenizer_file)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=12)
    encoder = WindowBuilder(tokenizer, 32, 4)
    (window,) = encoder.windows([["the", "city", "of", "London"]])
    assert len(window.ids) == 6


@given(st.lists(st.text(st.characters(categories=["Cs", "Co", "Cn", "Cc", "L"]), min_size=1, max_size=3), max_size=5))
def test_no_text_stops_the_encoder(make_once, sentence):
    check(make_once, [sentence], make_once.windows([sentence]))


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("river", "lower"), ("straße", "lower"), ("Paris", "Title"), ("Élan", "Title"), ("O'neill", "Title"),
        ("NATO", "UPPER"), ("U.S.", "UPPER"), ("A", "Initial"), ("J.", "Initial"), ("iPhone", "miXed"),
        ("McDonald", "miXed"), ("3rd", "digit"), ("1,000", "digit"), ("B2B", "digit"), (",", "other"),
        ("東京", "lower"), ("", "other"), ("\u200b", "other"),
    ],
)  # fmt: skip
def test_golden_shapes(word, wanted):
    assert WORD_SHAPES[word_shape(word)] == wanted


@given(st.lists(st.lists(st.sampled_from(["Paris", "the", "x1", ",", "NATO"]), max_size=30), max_size=4))
def test_every_piece_has_the_type_of_its_word_and_special_ones_have_none(tokenizer, sentences):
    plain = WindowBuilder(tokenizer, 16, 4).windows(sentences)
    shaped = WindowBuilder(tokenizer, 16, 4, first_shape_type=2).windows(sentences)
    assert [(w.ids, w.owned_words, w.first_pieces) for w in shaped] == [
        (w.ids, w.owned_words, w.first_pieces) for w in plain
    ]
    assert not any(any(w.types) for w in plain)
    for window in shaped:
        assert len(window.types) == len(window.ids)
        assert (window.types[0], window.types[-1]) == (0, 0)
        assert min(window.types[1:-1]) >= 2
        words = [sentences[window.sentence][word] for word in window.owned_words]
        assert [window.types[place] for place in window.first_pieces] == [2 + word_shape(word) for word in words]


CONTEXT = [["a", "b"], ["c", "d", "e"], ["f"], ["g", "h"]]


@pytest.mark.parametrize(
    ("context", "documents", "shown"),
    [
        (0, [0, 0, 0, 0], ["a b", "c d e", "f", "g h"]),
        (1, [0, 0, 0, 0], ["a b c", "b c d e f", "e f g", "f g h"]),
        (2, [0, 0, 1, 1], ["a b c d", "a b c d e", "f g h", "f g h"]),
        (9, [0, 0, 0, 0], ["a b c d e f g h"] * 4),
        (9, [0, None, 0, 0], ["a b", "c d e", "f g h", "f g h"]),
        (9, None, ["a b", "c d e", "f", "g h"]),
    ],
)
def test_golden_context(tokenizer, context, documents, shown):
    encoder = WindowBuilder(tokenizer, 16, 4, context)
    windows = encoder.windows(CONTEXT, documents)
    assert [" ".join(tokenizer.id_to_token(piece) for piece in w.ids[1:-1]) for w in windows] == shown
    for window, words in zip(windows, CONTEXT, strict=True):
        assert window.owned_words == list(range(len(words)))
        assert [tokenizer.id_to_token(window.ids[place]) for place in window.first_pieces] == words


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0, 0, 1, None])), max_size=8),
    st.integers(0, 20),
)
def test_context_changes_no_ownership_and_fits(tokenizer, layout, context):
    sentences, documents = [["abc"] * length for length, _ in layout], [document for _, document in layout]
    plain = WindowBuilder(tokenizer, 16, 4).windows(sentences, documents)
    wide = WindowBuilder(tokenizer, 16, 4, context).windows(sentences, documents)
    assert [(w.sentence, w.owned_words) for w in wide] == [(w.sentence, w.owned_words) for w in plain]
    for one, other in zip(plain, wide, strict=True):
        assert len(one.ids) <= len(other.ids) <= min(16, len(one.ids) + 2 * context)
        assert [other.ids[place] for place in other.first_pieces] == [one.ids[place] for place in one.first_pieces]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0, 1, 2, None])), max_size=8), st.integers(0, 20))
def test_a_window_shows_no_word_of_another_document(tokenizer, layout, context):
    """Each document is written in a letter of its own; one without a number is a document by itself."""
    sentences, documents, letter = [], [], -1
    for length, document in layout:
        letter += document is None or not documents or document != documents[-1]
        sentences.append([chr(ord("a") + letter)] * length)
        documents.append(document)
    for window in WindowBuilder(tokenizer, 16, 4, context).windows(sentences, documents):
        assert {tokenizer.id_to_token(piece) for piece in window.ids[1:-1]} == set(sentences[window.sentence])


def test_endless_words_are_not_remembered(tokenizer_file):
    builder = WindowBuilder(Tokenizer.from_file(tokenizer_file), 16, 4)
    words = ["a" * 100_000, "Paris", "B" * 101]
    assert builder.pieces(words) == [builder.pieces([word])[0] for word in words]
    assert list(builder._pieces) == ["Paris"]
    assert [WORD_SHAPES[word_shape(word)] for word in words] == ["lower", "Title", "UPPER"]
