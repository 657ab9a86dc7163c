"""Sentences of dev and test are found in training data, however they are disguised; other sentences are not."""

from __future__ import annotations

import random
import time
import unicodedata
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.likeness import ALIKE, allowed, are_alike, common, tokens_of
from fpplm_core.data.overlap import SHORT, HeldOut
from fpplm_core.data.records import Sentence

TEST = [
    ("Mira Holt visited the old harbour of Quarl in June .", "B-PER I-PER O O O O O B-LOC O O O"),
    (
        "The Lindau Ferry Company was founded by Otto Krähwinkel in 1902 .",
        "O B-ORG I-ORG I-ORG O O O B-PER I-PER O O O",
    ),
    ("Results :", "O O"),
    ("Ulm", "B-LOC"),
]
OTHERS = [
    "She was born in a small village near the coast .",
    "The company was sold in 1902 to a bank of the city .",
    "In June the old men went to the harbour and visited nobody .",
    "Berlin",
    "in the end",
]


def sentence(text: str, tags: str = "", line: int = 1) -> Sentence:
    words = tuple(text.split())
    lines = tuple(range(line, line + len(words)))
    return Sentence(words, tuple(tags.split()) or ("O",) * len(words), "x.conll", lines)


HELD_OUT = [sentence(text, tags, 100 * number) for number, (text, tags) in enumerate(TEST)]


def found(texts: list[str], known: tuple[Sentence, ...] = ()) -> list[bool]:
    return [other is not None for _, other in HeldOut(HELD_OUT, known).find(map(sentence, texts))]


def words_changed(text: str) -> list[str]:
    words = text.split()
    return [" ".join([*words[:n], "another", *words[n + 1 :]]) for n in range(len(words))]


DISGUISES: dict[str, Callable[[str], list[str]]] = {
    "as it is": lambda text: [text],
    "upper case": lambda text: [text.upper()],
    "decomposed": lambda text: [unicodedata.normalize("NFD", text)],
    "full width": lambda text: ["".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)],
    "soft hyphens": lambda text: [text.replace("e", "e\u00ad")],
    "without punctuation": lambda text: [text.replace(" .", "")],
    "joined to words": lambda text: [text.replace(" of ", "-of-").replace(" .", ".")],
    "a prefix": lambda text: [f"As we said before : {text}"],
    "a suffix": lambda text: [f"{text} ( page 7 )"],
    "one word changed": words_changed,
    "one word more": lambda text: [text.replace(" in ", " early in ", 1)],
    "one word less": lambda text: [text.replace(" in ", " ", 1)],
    "in halves": lambda text: [" ".join(text.split()[:5]), " ".join(text.split()[5:])],
    "in thirds": lambda text: [" ".join(text.split()[n : n + 4]) for n in (0, 4)],
    "in a long text": lambda text: [f"{OTHERS[0]} {text} {OTHERS[1]}"],
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("text", [text for text, _ in TEST[:2]])
def test_a_sentence_is_found_in_every_disguise(text: str, disguise: str) -> None:
    parts = DISGUISES[disguise](text)
    assert [part for part, hit in zip(parts, found(parts), strict=True) if not hit] == []


def test_joined_sentences_and_lists_of_names_are_found() -> None:
    assert all(found([f"{a[0]} {b[0]}" for a, b in pairwise(TEST[:3])]))
    assert all(found(["Mira Holt", "Quarl", "Otto Krähwinkel", "Ulm", "results"]))
    assert all(found(["Otto Krähwinkel , Mira Holt , Quarl", "Quarl Ulm Mira Holt Lindau Ferry Company"]))


def test_other_sentences_are_not_found() -> None:
    assert found(OTHERS) == [False] * len(OTHERS)


def test_short_sentences_and_names_that_train_has_may_recur() -> None:
    again = ["Results :", "Ulm", "Mira Holt", "visited the old harbour"]
    known = (sentence("results"), sentence("Ulm is far", "B-LOC O O"), sentence("Mira Holt", "B-PER I-PER"))
    assert found(again) == [True] * 4
    assert found(again, known) == [False, False, False, True]
    assert found([TEST[0][0]], (HELD_OUT[0],)) == [True], "longer ones do not recur by chance"


def test_words_without_letters_and_scripts_without_blanks() -> None:
    held_out = HeldOut([sentence("… …"), sentence("水库 正常 库容 为 一千 立方米")])
    texts = ["… …", "…", "水 库 正常库容为 一千立方米", "水库 海拔 为 三十 米"]
    assert [other is not None for _, other in held_out.find(map(sentence, texts))] == [True, False, True, False]


def test_nothing_is_found_in_nothing() -> None:
    nothing = HeldOut([])
    assert found([]) == []
    assert [other for _, other in nothing.find([sentence("a b c d e f"), sentence("a")])] == [None, None]
    assert nothing.contained([sentence("a b c d e f")]) == set()


def test_what_is_contained_is_counted_once_a_sentence() -> None:
    held_out = HeldOut([*HELD_OUT, *HELD_OUT])
    assert held_out.compared == 2
    assert held_out.contained(map(sentence, [TEST[1][0], TEST[1][0].lower(), "Ulm"])) == {1}
    assert held_out.contained([sentence(f"{TEST[0][0]} {TEST[1][0]}")]) == {0, 1}


words = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=14)


@given(words, words)
def test_the_bit_vectors_give_the_longest_common_subsequence(one: list[str], other: list[str]) -> None:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    assert common(tuple(one), tuple(other)) == table[-1][-1]


@given(words, words)
def test_texts_are_alike_if_any_stretch_has_enough(one: list[str], other: list[str]) -> None:
    short, long = sorted((tuple(one), tuple(other)), key=len)
    room = allowed(len(short))
    starts = [(i, j) for i, a in enumerate(pairwise(long)) for j, b in enumerate(pairwise(short)) if a == b]
    stretches = (long[max(0, i - j - room) : i - j + len(short) + room] for i, j in starts)
    wanted = any(common(short, stretch) >= ALIKE * len(short) for stretch in stretches)
    assert are_alike(tuple(one), tuple(other)) == wanted


def test_long_texts_are_compared_in_little_time() -> None:
    dice = random.Random(0)
    one, other = (tuple(f"w{int(dice.paretovariate(1))}" for _ in range(5_000)) for _ in range(2))
    begin = time.process_time()
    assert not are_alike(one, other)
    assert are_alike(one, one[:2_000] + other[:500] + one[2_000:])
    assert time.process_time() - begin < 5


@given(st.integers(0, 2**32), st.integers(SHORT, 30))
def test_the_index_finds_every_sentence_with_a_quarter_of_its_words_changed(seed: int, size: int) -> None:
    dice = random.Random(seed)
    test = [" ".join(f"{dice.choice('abcdef')}{n}" for n in range(size)) for _ in range(6)]
    train = []
    for text in test:
        row = text.split()
        for place in dice.sample(range(1, len(row) - 1, 2), min(int((1 - ALIKE) * size), (size - 1) // 2)):
            row[place] = "x"
        train.append(" ".join(row))
    indexed = HeldOut(map(sentence, test))
    assert indexed.contained(map(sentence, train)) == set(range(len(indexed.tokens)))
    assert all(are_alike(tokens_of(a.split()), tokens_of(b.split())) for a, b in zip(test, train, strict=True))


def test_parts_that_are_held_at_once_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text for text, _ in TEST for text in (text, *words_changed(text))] + OTHERS
    whole = list(HeldOut(HELD_OUT).find(map(sentence, texts)))
    monkeypatch.setattr("fpplm_core.data.overlap._MOST_PAIRS", 3)
    assert list(HeldOut(HELD_OUT).find(map(sentence, texts))) == whole
