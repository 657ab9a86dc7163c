import sys
import unicodedata
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.segmenter import segmentation
from fpplm_core.data.text_files import read_lines
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.tagging.words import CHARACTERS, UNICODE, WHITESPACE, is_invisible, segment, strip_range

anything = st.text(st.characters(codec=None, categories=None))  # lone surrogates too
tricky = st.text(st.sampled_from("aB1'’s-.,_@&/:+ \t\n\u00a0\u0301\u200b\u4e2d\u30a2\U0001f600\U00011000İßſ\0"))


def split_words(text: str) -> list[tuple[str, int, int]]:
    return [(text[start:end], start, end) for start, end in segment(text)]


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
        ("二〇〇四年々", ["二", "〇", "〇", "四", "年", "々"]),
        ("ｶﾞｲﾄﾞ ガイド", ["ｶﾞ", "ｲ", "ﾄﾞ", "ガ", "イ", "ド"]),
        ("葛\U000e0100飾区", ["葛\U000e0100", "飾", "区"]),
        ("𠮷野家𫝆", ["𠮷", "野", "家", "𫝆"]),
        ("ไปที่น้ำ 2567", ["ไ", "ป", "ที่", "น้", "ำ", "2567"]),  # vowel and tone signs stay with their letter
        ("ປະເທດລາວ", ["ປ", "ະ", "ເ", "ທ", "ດ", "ລ", "າ", "ວ"]),
        ("ខ្មែរ។", ["ខ្", "មែ", "រ", "។"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("กรุงเทพABC", ["ก", "รุ", "ง", "เ", "ท", "พ", "ABC"]),
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


UNSPACED = [(0xE01, 0xE4F), (0xE81, 0xEDD), (0x1000, 0x1049), (0x1780, 0x17DD), (0x4E00, 0x4FFF), (0x20000, 0x3134F)]


@given(st.lists(st.sampled_from(UNSPACED).flatmap(lambda ends: st.integers(*ends)).map(chr)).map("".join))
def test_without_blanks_a_character_with_its_marks_is_a_word(text):
    marked = [index > 0 and unicodedata.category(char)[0] == "M" for index, char in enumerate(text)]
    starts = [index for index, mark in enumerate(marked) if not mark]
    wanted = [text[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)] if text else []
    assert [word for word, _, _ in split_words(text)] == wanted


@given(st.one_of(anything, tricky), st.sampled_from([UNICODE, WHITESPACE, CHARACTERS]))
def test_every_rule_leaves_out_white_space_alone(text, rule):
    place = 0
    for start, end in segment(text, rule):
        assert start < end and not text[place:start].strip()
        assert not any(char.isspace() for char in text[start:end])
        place = end
    assert not text[place:].strip()


@given(st.one_of(anything, tricky))
def test_rules_cut_as_they_say(text):
    assert segment(text) == segment(text, UNICODE)
    assert [text[start:end] for start, end in segment(text, WHITESPACE)] == text.split()
    characters = [text[start:end] for start, end in segment(text, CHARACTERS)]
    assert all(
        len(unicodedata.normalize("NFC", one)) == 1 or unicodedata.category(one[1])[0] == "M" for one in characters
    )


@given(st.text(st.sampled_from(" \n\u00a0\u2028ab\u200b")), st.data())
def test_a_bare_range_has_no_white_space_at_its_edges(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    first, last = strip_range(text, start, end)
    assert text[first:last] == text[start:end].strip()
    assert start <= first <= last <= end


@pytest.fixture
def segmenter(monkeypatch):
    """Makes a module with a segmenter; its rule."""

    def make(function) -> str:
        name = f"segmenter_of_text_{id(function)}"
        module = ModuleType(name)
        module.cut = function
        monkeypatch.setitem(sys.modules, name, module)
        return f"{name}:cut"

    return make


@pytest.mark.parametrize(
    ("text", "words", "places"),
    [
        ("", [], []),
        (" \n", [" ", "\n"], []),
        ("ab c", ["ab", "c"], [(0, 2), (3, 4)]),
        ("ab c", ["ab", " ", "c"], [(0, 2), (3, 4)]),
        (" ab c", [" ab", " c"], [(1, 3), (4, 5)]),
        ("aaa", ["a", "aa", ""], [(0, 1), (1, 3)]),
        ("\U00020000的", ("\U00020000", "的"), [(0, 1), (1, 2)]),
        ("New York", ["New York"], [(0, 8)]),
    ],
)
def test_a_segmenter_may_cut_words(segmenter, text, words, places):
    assert segmentation(segmenter(lambda _: words))(text) == places
    assert segmentation(segmenter(lambda _: (word for word in words)))(text) == places


def broken(text):
    raise KeyError("line\nbreak")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda text: ["我在", "北"], "omits the end of the text, got '京'"),
        (lambda text: [], "omits the end of the text, got '我在北京'"),
        (lambda text: ["在", "北京"], "words are not those of the text, got '在'"),
        (lambda text: ["我", "京"], "words are not those of the text, got '京'"),
        (lambda text: ["我在北京", "京"], "words are not those of the text, got '京'"),
        (lambda text: ["x" * 999], f"words are not those of the text, got '{'x' * 60}'"),
        (lambda text: [("我在", "r"), ("北京", "ns")], "returned something other than words, got ('我在', 'r')"),
        (lambda text: None, "the segmenter failed, got TypeError("),
        (lambda: [], "the segmenter failed, got TypeError("),
        (broken, r"the segmenter failed, got KeyError('line\nbreak')"),
        ("我在北京", "the segmenter failed, got TypeError("),
    ],
)
def test_a_segmenter_that_fails_or_changes_the_text_is_an_error(segmenter, function, said):
    rule = segmenter(function)
    with pytest.raises(ParamsError) as caught:
        segmentation(rule)("我在北京")
    assert caught.value.where == f"data.segmentation: {rule}"
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "rule",
    ["", "rule", ":", "json", "json:", "json:none", "no_such_module:cut", ".json:loads", "js\0on:loads", "os.no:x"],
)
def test_a_rule_that_is_not_there_is_an_error(rule):
    with pytest.raises(ParamsError, match=r"^data.segmentation: no such segmenter \(.+\), got .*; use unicode, whites"):
        segmentation(rule)("text")


def test_a_segmenter_whose_module_does_not_load_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "half_a_module.py").write_text("raise RuntimeError('no\\nmodel')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ParamsError, match=r"no such segmenter \(no model\)"):
        segmentation("half_a_module:cut")


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
