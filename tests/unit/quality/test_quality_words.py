import re
import unicodedata
from dataclasses import replace

import pytest

from fpplm_core.quality import personal_data
from fpplm_core.quality.token_table import tokens
from tests.unit.quality.test_quality import clean, found_in, parquet, sentences, unknown

SILENT = [
    *("café", "naïve", "AVIÃO", "Ã", "São", "été", "’s", "“", "日本語", "Москва", "Ελλάδα", "мир", "5µm", "±5", "°C"),
    *(
        "α-helix",
        "TNFα",
        "IFNγ",
        "ΔT",
        "Cα",
        "β2",
        "µm",
        "hν",
        "kΩ",
        "IT-компания",
        "PDFов",
        "VIPам",
        "iPhone’ов",
        "3D-принтер",
    ),
    *("1.2.3.4", "3.1.1.7", "127.0.0.1", "300.1.1.1", "10.1000/182", "@jo", "a@b", "1990-1995", "2004-05-06", "12:30"),
    *(
        "1234567890",
        "978-3-16-148410-0",
        "4111111111111112",
        "DE88370400440532013000",
        "555-1234",
        "1,000,000.00",
        "+5",
        "#1",
    ),
]
SPOKEN = [
    "from 1990 - 1995 and 2001 - 2010",
    "10 , 000 , 000 or 20 000 000",
    "p = 0.0001 + 12 - 3 / 4",
    "ISBN 978 - 3 - 16 - 148410 - 0",
    "phone 12 and tel 1999",
    "está … IRMÃ daß “",
]
PERSONAL = {
    "write to jo.do+x@mail.example.co.uk now": (2, "an e-mail address (jo…)"),
    "IBAN GB82 WEST 1234 5698 7654 32 please": (1, "an IBAN (GB…)"),
    "DE89370400440532013000": (0, "an IBAN (DE…)"),
    "card 4111 1111 1111 1111 .": (1, "a card number (41…)"),
    "card 4111111111111111": (1, "a card number (41…)"),
    "amex 3782 822463 10005": (1, "a card number (37…)"),
    "host 192.168.0.1 , port": (1, "an IP address (19…)"),
    "call +49 30 123456": (1, "a phone number (+4…)"),
    "call + 49 ( 0 ) 30 / 12 34 56 now": (1, "a phone number (+ …)"),
    "( 212 ) 555 - 1234": (0, "a phone number (( …)"),
    "ring 212-555-1234 .": (1, "a phone number (21…)"),
    "电话 : 010 12345678": (2, "a phone number (01…)"),
    "Fax . 030 - 123456": (2, "a phone number (03…)"),
    "+4550981306 , ✉": (0, "a phone number (+4…)"),
}


@pytest.mark.parametrize("text", [*SILENT, *SPOKEN])
def test_words_that_look_odd_and_are_right(text):
    (sentence,) = sentences("dev.conll", ["x/O"])
    words = tuple(text.split(" "))
    corpus = clean() | {"dev": [replace(sentence, words=words, tags=("O",) * len(words), lines=(1,) * len(words))]}
    found = list(tokens(parquet(corpus), "IOB2", lambda words: [False] * len(words)))
    assert found_in({"tokens": found}) == {}


@pytest.mark.parametrize(("text", "wanted"), PERSONAL.items())
def test_personal_data_is_found_once_and_at_its_first_word(text, wanted):
    assert list(personal_data.find(text.split(" "))) == [wanted]
    assert re.search(personal_data.LIKELY, text)


@pytest.mark.parametrize(
    "entity", ["Acme Inc .", "Yahoo !", "Bonn ( Rhine )", "« Le Monde »", '" Faust "', "C +", "$ 5", "5 %"]
)
def test_marks_that_belong_to_an_entity(entity):
    words = entity.split(" ")
    rows = ["on/O", *(f"{word}/{'I' if place else 'B'}-X" for place, word in enumerate(words)), "goes/O"]
    corpus = {"train": sentences("train.conll", [" ".join(rows)])}
    assert found_in({"tokens": list(tokens(parquet(corpus), "IOB2", unknown))}) == {}


def found_in_words(*words: str) -> dict[str, list[str]]:
    corpus = {"train": sentences("f", [" ".join(f"{word}/O" for word in words)])}
    return found_in({"tokens": list(tokens(parquet(corpus), "IOB2", unknown))})


@pytest.mark.parametrize(
    "word",
    [
        *("نوری\u200cزاده", "خانهٔ\u200cما", "CD\u200cها", "۲۰\u200cساله", "20\u200cساله", "کووید\u200c۱۹"),  # Persian
        *("۲۰٪\u200cها", "«کتاب»\u200cها", "(IT)\u200cها", "cafe\u0301\u200cها"),
        *("ه\u200d", "ه\u200d.ش", "۱۳۷۵ه\u200d.ش"),  # the Hijri calendar
        *("ᠬᠠᠷ\u180eᠠ", "ᠬᠠᠷ\u180b\u180eᠠ"),  # Mongolian
        *("র\u200d্য", "র\u200c্য", "গ\u200cু"),  # Bengali: the ya-phala, and a vowel beside its consonant
        "ប៉\u200cី",  # Khmer, a register shifter above its vowel
        "ක\u200d්ෂ",  # Sinhala, letters that touch
        "क्\u200dष",  # Devanagari, a half form
        "ന്\u200d",  # Malayalam, a final consonant in its older spelling
        "👨\u200d👩\u200d👧",
        "👩🏽\u200d🚀",
        "❤\ufe0f\u200d🔥",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England
        "葛\U000e0100",
    ],
)
def test_joiners_and_selectors_where_words_need_them(word):
    assert found_in_words(word) == {}


@pytest.mark.parametrize(
    "word",
    [
        "m\u200dat",
        "Auf\u200clage",
        *("a\u0301\u200cb", "a\u200c\u0301", "20\u200cb", "м\u200cир"),
        *("中\u200c国", "東\u200d京", "서\u200d울", "שׁ\u200dל", "ไท\u200cย", "թ\u200dա", "ა\u200dბ"),
        *("न\u200dन", "न\u200cन", "क\u200dी"),  # without a virama
        *("CD\u200dها", "\u200cها", "می\u200c\u200cخواهم", "»\u200cb", ".\u200d", "م\u200db"),
        "نوری\u200c",
        "\u200dक",
        "👨\u200da",
        "👨\u200d",
        "a\u061cb",
        "\u2066abc\u2069",
        "x\u180ey",
        *("ᠷ\u180e\u180eᠠ", "ᠷ\u180eabc", "ᠷ\u180e"),
    ],
)
def test_characters_without_a_shape_elsewhere(word):
    assert set(found_in_words(word)) == {"zero_width"}


@pytest.mark.parametrize(
    ("canonical", "other"),
    [
        ("\u0915\u093c", "\u0958"),  # a letter of Hindi, which NFC takes apart too
        ("ש\u05bc\u05c1", "ש\u05c1\u05bc"),
        ("م\u064e\u0651", "م\u0651\u064e"),
        ("豈", "\uf900"),
        (";", "\u037e"),  # the question mark of Greek
        ("5K", "5\u212a"),
    ],
)
def test_a_word_in_two_forms_of_which_neither_is_the_rarer_normal_form(canonical, other):
    canonical = unicodedata.normalize("NFC", canonical)
    assert found_in_words(canonical, other, "x") == {
        "not_normalised": [f"f:2: {other!a} is one of several forms of {canonical!a} in this corpus"]
    }
    assert found_in_words(other, "x") == {}, "the only form in this corpus"


def test_a_word_in_two_forms_without_its_normal_form():
    one, other = "ש\u05c1\u05bc\u05b8", "ש\u05c1\u05b8\u05bc"
    said = f"is one of several forms of {unicodedata.normalize('NFC', one)!a} in this corpus"
    assert found_in_words(one, other, one) == {
        "not_normalised": [f"f:1: {one!a} {said}", f"f:2: {other!a} {said}", f"f:3: {one!a} {said}"]
    }


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_corpus_in_one_normal_form_is_right_and_the_rarer_form_is_not(form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    rows = [unicodedata.normalize(form, "é/O ñ/O ü/O x/O") + " " + unicodedata.normalize(other, "ö/O") + " Ω/O"]
    found = found_in({"tokens": list(tokens(parquet({"train": sentences("f", rows)}), "IOB2", unknown))})
    assert found == {
        "not_normalised": [f"f:5: {unicodedata.normalize(other, 'ö')!a} is not in {form}, unlike most words"]
    }
