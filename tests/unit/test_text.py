import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.errors import DataError
from fpplm_core.text import is_invisible, read_lines, split_words

anything = st.text(st.characters(codec=None, categories=None))  # lone surrogates too
tricky = st.text(st.sampled_from("aB1'’s-.,_@&/:+ \t\n\u00a0\u0301\u200b\u4e2d\u30a2\U0001f600\U00011000İßſ\0"))


@given(st.one_of(anything, tricky))
def test_words_stand_where_they_say_and_nothing_but_white_space_is_lost(text):
    found = split_words(text)
    place = 0
    for word, start, end in found:
        assert text[start:end] == word != ""
        assert not text[place:start].strip()
        place = end
    assert not text[place:].strip()
    assert not any(char.isspace() for word, _, _ in found for char in word)


@given(st.one_of(anything, tricky))
def test_splitting_splits_words_no_further(text):
    for word, _, _ in split_words(text):
        if word[0] not in "'’":  # a clitic needs the word before it: what stands alone is a quotation mark
            assert [part for part, _, _ in split_words(word)] == [word]


@given(tricky, tricky)
def test_white_space_parts_texts(one, other):
    words = [word for word, _, _ in split_words(one)] + [word for word, _, _ in split_words(other)]
    assert [word for word, _, _ in split_words(f"{one}\n{other}")] == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\n\u00a0 ", []),
        ("Angela Merkel visited Paris.", ["Angela", "Merkel", "visited", "Paris", "."]),
        ("John's dogs' bones", ["John", "'s", "dogs", "'", "bones"]),
        ("we’ve, I'm, DON'T", ["we", "’ve", ",", "I", "'m", ",", "DON", "'T"]),
        ("'tis 'since", ["'", "tis", "'", "since"]),
        ("1,000.50 km/h in the U.S.", ["1,000.50", "km/h", "in", "the", "U.S", "."]),
        ("e-mail: a.b_c@d-e.org!", ["e-mail", ":", "a.b_c@d-e.org", "!"]),
        ("AT&T -- (well-known)", ["AT&T", "-", "-", "(", "well-known", ")"]),
        ("_x_ __init__", ["_", "x", "_", "_", "_", "init", "_", "_"]),
        ("我在北京。", ["我", "在", "北", "京", "。"]),
        ("東京タワーは高い", ["東", "京", "タ", "ワ", "ー", "は", "高", "い"]),
        ("iPhone用户", ["iPhone", "用", "户"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("cafe\u0301 São", ["cafe\u0301", "São"]),
        ("\u0301a", ["\u0301", "a"]),
        ("한국어 Привет עברית", ["한국어", "Привет", "עברית"]),
        ("#nlp 😀👍", ["#", "nlp", "😀", "👍"]),
        ("a\u200bb\u200b", ["a", "\u200b", "b", "\u200b"]),
    ],
)
def test_golden_splits(text, words):
    assert [word for word, _, _ in split_words(text)] == words


@given(st.text(st.characters(categories=["L", "Nd"], max_codepoint=0x2FFF), min_size=1))
def test_decomposed_words_fall_apart_no_more_than_composed_ones(word):
    composed = unicodedata.normalize("NFC", word)
    decomposed = unicodedata.normalize("NFD", word)
    if unicodedata.normalize("NFC", decomposed) == composed and len(split_words(composed)) == 1:
        assert len(split_words(decomposed)) == 1


@given(st.text())
def test_a_word_is_invisible_where_no_character_shows(word):
    shown = [char for char in word if unicodedata.category(char)[0] not in "CZ"]
    assert is_invisible(word) == (not shown)


@pytest.mark.parametrize("word", ["\u200b", "\ufeff\u200d", "\u00ad", "\x01", "\u2060 \u00a0"])
def test_invisible_words(word):
    assert is_invisible(word)
    assert not is_invisible(f"{word}.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\xffc", r":2: not valid UTF-8, got byte 0xff; convert it first"),
        (b"\xc3", r":1: not valid UTF-8, got byte 0xc3"),
        (b"a\n\0b", r": not a text file"),
        ("a\n".encode("utf-16"), r": not a text file"),
    ],
)
def test_bytes_that_are_no_text_are_an_error(tmp_path, content, message):
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(read_lines(path))
    assert caught.value.where.startswith(str(path))


@given(st.text())
def test_text_is_read_as_written_but_for_a_byte_order_mark(tmp_path_factory, text):
    text = text.replace("\0", "")
    path = tmp_path_factory.getbasetemp() / "text"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert "\n".join(read_lines(path)) == text.removesuffix("\n")


def test_a_bad_byte_far_into_a_file_has_its_line_and_what_stands_before_it_is_read(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("ä\r\n".encode() * 300_000 + b"\n\xe4\n")
    lines = read_lines(path)
    assert [next(lines) for _ in range(300_001)] == ["ä\r"] * 300_000 + [""]
    with pytest.raises(DataError, match=r"text:300002: not valid UTF-8, got byte 0xe4"):
        next(lines)
