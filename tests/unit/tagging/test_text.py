import sys
import time
import unicodedata
from types import ModuleType

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from fpplm_core.data.segmenter import segmentation
from fpplm_core.data.text_files import read_lines
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.tagging.words import (
    _LETTER,
    _NO_SPACES,
    _PLAIN,
    _PLAIN_WORD,
    _WORD_2,
    CHARACTERS,
    RULES,
    UNICODE,
    UNICODE_1,
    WHITESPACE,
    is_edge,
    is_invisible,
    segment,
    strip_range,
    visible_range,
)

anything = st.text(st.characters(codec=None, categories=None))  # lone surrogates too
tricky = st.text(st.sampled_from("aB1'’s-.,_@&/:+ \t\n\u00a0\u0301\u200b\u4e2d\u30a2\U0001f600\U00011000İßſ\0"))


# All that clusters, joins or shows nothing, and what stands beside it.
CLUSTERED = (
    "aB1é'’·.-\"#*\u05d0\u05f4 \t\u0301\u0308\u20e3\u00ad\u034f\u200b\u200c\u200d\u200e\u2060\ufeff\ufe0f\u202c"
    "\u0600\u06dd\u0915\u094d\u0937\u093f\u0d9a\u0dca\u0e01\u0e33\u0e48\u0e40\u0eb3\u1780\u17d2\u1789\u1000\u1039\u102c\u103a\u1100\u1161\u11a8\uac00"
    "\u4e2d\u30ab\u3099\uff76\uff9e\U000e0100\U0001f468\U0001f3fd\U0001f1e9\U0001f1ea\u2764\u2139\x01\ud83d"
)
clustered = st.text(st.sampled_from(CLUSTERED))


def split_words(text: str, rule: str = UNICODE) -> list[tuple[str, int, int]]:
    return [(text[start:end], start, end) for start, end in segment(text, rule)]


@given(st.one_of(anything, tricky, clustered))
def test_words_stand_where_they_say_and_nothing_but_white_space_and_format_characters_is_lost(text):
    found = split_words(text)
    place = 0
    for word, start, end in [*found, ("", len(text), len(text))]:
        assert text[start:end] == word
        assert not [c for c in text[place:start] if not c.isspace() and unicodedata.category(c) not in ("Cf", "Mn")]
        assert all(map(is_edge, text[place:start]))
        place = end
    assert not any(char.isspace() for word, _, _ in found for char in word)
    assert not [word for word, _, _ in found if all(map(is_edge, word)) and unicodedata.category(word[0]) != "Cc"]


@given(st.one_of(anything, clustered))
@example("👩\u200d🚀\u200d")
@example("\u0e01\u0e33\u0eb3")
def test_no_word_begins_or_ends_inside_a_grapheme_cluster(text):
    """Except a cluster with white space, and one that mixes scripts with and without spaces, or flags and letters."""
    odd = regex.compile(rf"\s|[\x1c-\x1f]|{_LETTER}.*{_NO_SPACES}|\p{{RI}}.*\p{{InCB=Consonant}}", regex.V1)
    clusters = [match.span() for match in regex.finditer(r"\X", text) if not odd.search(match.group())]
    inside = {place for start, end in clusters for place in range(start + 1, end)}
    for word, start, end in split_words(text):
        assert start not in inside and end not in inside, word.encode("unicode_escape")


@given(st.text(st.characters(min_codepoint=0, max_codepoint=127)))
def test_on_ascii_text_the_rules_differ_at_apostrophes_alone(text):
    words, before = split_words(text), split_words(text, UNICODE_1)
    if "'" not in text:
        assert words == before
    ends = [{end for _, _, end in found} for found in (words, before)]
    assert all("'" in text[end - 1 : end + 1] for end in ends[0] ^ ends[1])
    assert ends[0] <= ends[1]  # nothing is cut that was not cut before


@given(st.text(st.sampled_from([c for c in map(chr, range(0x10000)) if regex.match(f"[{_PLAIN}]", c)])))
def test_of_plain_characters_both_rules_make_the_same_words(text):
    assert [m.span() for m in _PLAIN_WORD.finditer(text)] == [m.span() for m in _WORD_2.finditer(text)]


def test_every_plain_character_is_the_same_word_in_both_rules():
    plain = [char for char in map(chr, range(0x10000)) if regex.match(f"[{_PLAIN}]", char)]
    for before in "a1.中":
        for char in plain:
            for text in (f"{before}{char}a", f"{before}{char}{char}"):
                assert [m.span() for m in _PLAIN_WORD.finditer(text)] == [m.span() for m in _WORD_2.finditer(text)], (
                    text
                )


@pytest.mark.parametrize(
    "char", ["\u200d", "\u200b", "\u0301", "\u0600", "'", "a\u00ad", "\U0001f1e9", "\u17d2", "ก\u0e33", '"']
)
def test_the_time_of_a_long_run_grows_with_its_length(char):
    took = []
    for length in (20_000, 80_000):
        text, start = f" {char * length}", time.process_time()
        segment(text)
        took.append(time.process_time() - start)
    assert took[1] < 10 * max(took[0], 0.02)


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
        ("ປະເທດລາວ", ["ປ", "ະ", "ເ", "ທ", "ດ", "ລ", "າ", "ວ"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("กรุงเทพABC", ["ก", "รุ", "ง", "เ", "ท", "พ", "ABC"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("cafe\u0301 São", ["cafe\u0301", "São"]),
        ("\u0301a", ["\u0301", "a"]),
        ("한국어 Привет עברית", ["한국어", "Привет", "עברית"]),
        ("#nlp 😀👍", ["#", "nlp", "😀", "👍"]),
    ],
)
def test_golden_splits_of_both_rules(text, words):
    for rule in (UNICODE, UNICODE_1):
        assert [word for word, _, _ in split_words(text, rule)] == words


@pytest.mark.parametrize(
    ("text", "words", "before"),
    [
        ("O’Dell, Paral·lel", ["O’Dell", ",", "Paral·lel"], ["O", "’", "Dell", ",", "Paral", "·", "lel"]),
        ("O'Brenn's rock'n'roll", ["O'Brenn", "'s", "rock'n'roll"], None),
        ("Xi'an Qur’an об'єкт N'Djamena", ["Xi'an", "Qur’an", "об'єкт", "N'Djamena"], None),
        ("l’Aquila d'Or dell’Umbria qu'Anne", ["l’", "Aquila", "d'", "Or", "dell’", "Umbria", "qu'", "Anne"], None),
        ("Val-d'Oise 'Paris' 5'10 4'a", ["Val-d'Oise", "'", "Paris", "'", "5", "'", "10", "4", "'", "a"], None),
        ('צה"ל "שלום" ג׳', ['צה"ל', '"', "שלום", '"', "ג׳"], ["צה", '"', "ל", '"', "שלום", '"', "ג", "׳"]),
        ("Bren\u00adnau AG\u00ad.", ["Bren\u00adnau", "AG", "."], ["Bren", "\u00ad", "nau", "AG", "\u00ad", "."]),
        ("کتاب\u200cهای در", ["کتاب\u200cهای", "در"], ["کتاب", "\u200c", "های", "در"]),
        ("ශ්\u200dරී ලංකා", ["ශ්\u200dරී", "ලංකා"], ["ශ්", "\u200d", "රී", "ලංකා"]),
        ("a\u2060b e\u200b-\u200bmail", ["a\u2060b", "e\u200b-\u200bmail"], None),
        ("\ufeff\u200bQuarl\u200b is \u200d \u202aZ\u202c", ["Quarl", "is", "Z"], None),
        ("a\u200bb\u200b", ["a\u200bb"], ["a", "\u200b", "b", "\u200b"]),
        ("我\u200b在\u200d", ["我", "在\u200d"], ["我", "\u200b", "在", "\u200d"]),
        ("ไปที่น้ำ 2567", ["ไ", "ป", "ที่", "น้ำ", "2567"], ["ไ", "ป", "ที่", "น้", "ำ", "2567"]),
        ("ຄຳ", ["ຄຳ"], ["ຄ", "ຳ"]),
        ("ខ្ញុំនៅភ្នំពេញ", ["ខ្ញុំ", "នៅ", "ភ្នំ", "ពេ", "ញ"], ["ខ្", "ញុំ", "នៅ", "ភ្", "នំ", "ពេ", "ញ"]),
        ("ဗုဒ္ဓ", ["ဗု", "ဒ္ဓ"], ["ဗု", "ဒ္", "ဓ"]),
        ("क्षत्रिय", ["क्षत्रिय"], None),
        ("👩\u200d🚀👨\u200d👩\u200d👧", ["👩\u200d🚀", "👨\u200d👩\u200d👧"], None),
        ("🏳️\u200d🌈,🇩🇪🇫🇷", ["🏳️\u200d🌈", ",", "🇩🇪", "🇫🇷"], None),
        ("👍🏽 1️⃣2️⃣ #️⃣ ❤️ ℹ️", ["👍🏽", "1️⃣", "2️⃣", "#️⃣", "❤️", "ℹ️"], None),
        ("\u06dd\u0661\u0662 \u0600", ["\u06dd\u0661\u0662", "\u0600"], None),
        ("中ι中", ["中", "ι", "中"], ["中ι", "中"]),
        ("a\x01b", ["a", "\x01", "b"], ["a", "\x01", "b"]),  # the data check finds it
    ],
)
def test_golden_splits_that_the_new_rule_changes(text, words, before):
    assert [word for word, _, _ in split_words(text)] == words
    if before is not None:
        assert [word for word, _, _ in split_words(text, UNICODE_1)] == before


UNSPACED = [(0xE01, 0xE4F), (0xE81, 0xEDD), (0x1000, 0x1049), (0x1780, 0x17DD), (0x4E00, 0x4FFF), (0x20000, 0x3134F)]


@given(st.lists(st.sampled_from(UNSPACED).flatmap(lambda ends: st.integers(*ends)).map(chr)).map("".join))
def test_without_blanks_a_character_with_its_marks_is_a_word(text):
    marked = [index > 0 and unicodedata.category(char)[0] == "M" for index, char in enumerate(text)]
    starts = [index for index, mark in enumerate(marked) if not mark]
    wanted = [text[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)] if text else []
    assert [word for word, _, _ in split_words(text, UNICODE_1)] == wanted
    ends = {end for _, _, end in split_words(text)}
    assert ends <= {end for _, _, end in split_words(text, UNICODE_1)}  # clusters of several characters stay whole


@given(st.one_of(anything, tricky), st.sampled_from([rule for rule in RULES if rule != UNICODE]))
def test_the_other_rules_leave_out_white_space_alone(text, rule):
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
    shown = visible_range(text, start, end)
    assert text[slice(*shown)] == text[start:end].strip(" \n\u00a0\u2028\u200b")
    assert start <= shown[0] <= shown[1] <= end


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


@given(st.text(st.characters(categories=["Lu", "Ll", "Nd", "P", "Sm", "Zs", "Cc", "Cf"])))
def test_a_word_is_invisible_where_no_character_shows(word):
    # Format characters with a shape of their own, such as the Arabic sign of a number, stand before digits.
    word = "".join(char for char in word if not regex.match(r"\p{GCB=Prepend}|[\U00013430-\U0001345f]|\ufff9", char))
    shown = [char for char in word if unicodedata.category(char)[0] not in "CZ"]
    assert is_invisible(word) == (not shown)


@pytest.mark.parametrize("word", ["\ue000", "\uf0b7", "\U0001fae9", "\U000323b0", "\u0378"])
def test_characters_for_private_use_or_of_a_later_unicode_are_visible(word):
    assert not is_invisible(word)


@pytest.mark.parametrize(
    "word",
    ["\u200b", "\ufeff\u200d", "\u00ad", "\x01", "\u2060 \u00a0", "\ufe0f", "\u034f", "\u115f", "\u3164", "\u2800"],
)
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
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\n")  # without a newline, CR would be its line end
    assert "\n".join(read_lines(path)) == text


def test_a_bad_byte_far_into_a_file_has_its_line_and_what_stands_before_it_is_read(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("ä\r\n".encode() * 300_000 + b"\n\xe4\n")
    lines = read_lines(path)
    assert [next(lines) for _ in range(300_001)] == ["ä\r"] * 300_000 + [""]
    with pytest.raises(DataError, match=r"text:300002: not valid UTF-8, got byte 0xe4"):
        next(lines)


@pytest.mark.parametrize("mark", ["\uff9e", "\uff9f"])
def test_a_letter_that_is_also_a_mark_is_not_read_again_and_again(mark: str) -> None:
    """From each such letter the whole stretch was read: a minute for this text."""
    assert segment(f"{mark}\ufeff" * 50_000) == [(0, 99_999)]
