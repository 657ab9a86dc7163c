from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpplm_core import quality
from fpplm_core.labels import faults
from fpplm_core.params import load
from fpplm_core.text import Sentence

ROOM, LEAKAGE_WORDS, MIN_EXAMPLES = 8, 3, 2
CLEAN = {
    "train": ["EU/B-ORG rejects/O German/B-MISC call/O", "Paris/B-LOC and/O New/B-LOC York/I-LOC", "Ann/B-PER met/O"],
    "dev": ["he/O saw/O Berlin/B-LOC", "Ann/B-PER slept/O"],
    "test": ["Bob/B-PER left/O Rome/B-LOC", "no/O more/O"],
}
MORE = ["the/O EU/B-ORG", "Ann/B-PER or/O Bob/B-PER", "a/O German/B-MISC"]  # so that no type is rare
Corpus = dict[str, list[Sentence]]


def sentences(file: str, rows: list[str]) -> list[Sentence]:
    found, line = [], 1
    for row in rows:
        words, tags = zip(*(cell.rsplit("/", 1) for cell in row.split(" ")), strict=True)
        found.append(Sentence(words, tags, file, tuple(range(line, line + len(words)))))
        line += len(words) + 1
    return found


def clean() -> Corpus:
    rows = CLEAN | {"train": CLEAN["train"] + MORE}
    return {split: sentences(f"{split}.conll", part) for split, part in rows.items()}


def word(split: str, index: int, place: int, text: str) -> Callable[[Corpus], None]:
    """Puts another word at a place of a sentence."""

    def damage(corpus: Corpus) -> None:
        sentence = corpus[split][index]
        words = (*sentence.words[:place], text, *sentence.words[place + 1 :])
        corpus[split][index] = replace(sentence, words=words)

    return damage


def tag(split: str, index: int, place: int, text: str) -> Callable[[Corpus], None]:
    """Puts another tag at a place of a sentence."""

    def damage(corpus: Corpus) -> None:
        sentence = corpus[split][index]
        tags = (*sentence.tags[:place], text, *sentence.tags[place + 1 :])
        corpus[split][index] = replace(sentence, tags=tags)

    return damage


def add(split: str, row: str) -> Callable[[Corpus], None]:
    """Adds a sentence that begins in line 100."""

    def damage(corpus: Corpus) -> None:
        (sentence,) = sentences(f"{split}.conll", [row])
        corpus[split].append(replace(sentence, lines=tuple(line + 99 for line in sentence.lines)))

    return damage


def drop(split: str) -> Callable[[Corpus], None]:
    return lambda corpus: corpus.update({split: []})


def untag(split: str) -> Callable[[Corpus], None]:
    return lambda corpus: corpus.update({split: [replace(s, tags=("O",) * len(s.tags)) for s in corpus[split]]})


# check, damage, split and line where it is found, what is said about it
DAMAGES = [
    ("malformed_tag", tag("train", 0, 1, "BORG"), "train", 2, "malformed tag: 'BORG' is not O or PREFIX-TYPE"),
    ("malformed_tag", tag("dev", 1, 1, "S-PER"), "dev", 6, "unknown prefix 'S' in 'S-PER': IOB2 has B, I, O"),
    ("malformed_tag", tag("test", 1, 1, ""), "test", 6, "malformed tag: '' is not O or PREFIX-TYPE"),
    ("illegal_transition", tag("test", 0, 1, "I-LOC"), "test", 2, "I-LOC cannot follow B-PER in IOB2"),
    ("illegal_transition", tag("dev", 0, 0, "I-LOC"), "dev", 1, "I-LOC cannot follow the sentence start in IOB2"),
    ("empty_word", word("train", 1, 1, ""), "train", 7, "a word without a visible character"),
    ("empty_word", word("dev", 0, 2, "\u00a0"), "dev", 3, "a word without a visible character"),
    ("control_character", word("train", 0, 3, "ca\x07ll"), "train", 4, r"replacement character: 'ca\x07ll'"),
    ("control_character", word("test", 1, 0, "n\ufffd"), "test", 5, r"replacement character: 'n\ufffd'"),
    ("control_character", word("test", 1, 0, "n\x9f"), "test", 5, r"replacement character: 'n\x9f'"),
    ("invisible_word", word("test", 0, 1, "\u200b"), "test", 2, r"invisible characters alone: '\u200b'"),
    ("invisible_word", word("train", 2, 1, "\ufeff\u200d"), "train", 12, r"alone: '\ufeff\u200d'"),
    ("zero_width", word("train", 2, 1, "m\u200bet"), "train", 12, r"zero-width character: 'm\u200bet'"),
    ("zero_width", word("dev", 0, 0, "h\u00ade"), "dev", 1, r"zero-width character: 'h\xade'"),
    ("duplicate", add("train", "the/O EU/B-ORG"), "train", 100, "also at train.conll:14"),
    ("duplicate", add("test", "no/O more/O"), "test", 100, "also at test.conll:5"),
    ("conflicting_duplicate", add("dev", "Ann/B-PER met/B-PER"), "dev", 100, "in another way at train.conll:11"),
    ("leakage", add("dev", "Ann/B-PER or/O Bob/B-PER"), "dev", 100, "in train at train.conll:17"),
    (
        "leakage",
        add("test", CLEAN["train"][0]),
        "test",
        100,
        "train.conll:1",
    ),
    ("unknown_type", tag("test", 1, 1, "B-creative-work"), "test", 1, "creative-work: 1 in test, none in train"),
    ("long_sentence", add("dev", " ".join(["x/O"] * 9)), "dev", 100, "9 pieces, a window holds 8"),
    ("few_examples", add("train", "a/O b/B-RARE"), "train", 1, "RARE: 1 in train, wanted 2"),
    ("empty_split", drop("dev"), "dev", 1, "dev has no sentence"),
    ("empty_split", untag("test"), "test", 1, "test has no entity"),
]
CHECKS = sorted({name for name, *_ in DAMAGES})


def tables(corpus: Corpus, scheme: str = "IOB2") -> dict[str, pd.DataFrame]:
    pieces = {split: [len(s.words) for s in part] for split, part in corpus.items()}
    return {
        "tokens": quality.tokens(corpus, scheme),
        "sentences": quality.sentences(corpus, pieces, ROOM, LEAKAGE_WORDS),
        "splits": quality.splits(corpus, MIN_EXAMPLES),
    }


def found_in(made: dict[str, pd.DataFrame]) -> dict[str, list[tuple[str, int, str]]]:
    """What every check has found: split, line, reason."""
    found = {}
    for table in made.values():
        for name in set(CHECKS) & set(table.columns):
            rows = table[table[name].notna()]
            if len(rows):
                found[name] = list(rows[["split", "line", name]].itertuples(index=False, name=None))
    return found


def test_there_is_a_damage_for_every_check():
    settings = load(Path(__file__).resolve().parents[2] / "params.yaml")
    assert sorted(settings.check.severities()) == CHECKS
    assert set(CHECKS) <= {column for table in tables(clean()).values() for column in table.columns}


def test_a_clean_corpus_has_nothing_to_find():
    assert found_in(tables(clean())) == {}


@pytest.mark.parametrize(("check", "damage", "split", "line", "reason"), DAMAGES)
def test_a_damage_is_found_by_its_check_at_its_place_and_by_no_other(check, damage, split, line, reason):
    corpus = clean()
    damage(corpus)
    found = found_in(tables(corpus))
    assert set(found) == {check}
    ((where, number, said),) = found[check]
    assert (where, number) == (split, line)
    assert said.endswith(reason)


def test_short_sentences_in_two_splits_are_no_leak():
    corpus = clean()
    add("test", "a/O German/B-MISC")(corpus)
    assert found_in(tables(corpus)) == {}


def test_a_sentence_that_just_fits_a_window_is_not_long():
    corpus = clean()
    add("train", " ".join(["x/O"] * ROOM))(corpus)
    assert found_in(tables(corpus)) == {}


def test_without_a_wish_no_type_is_rare():
    corpus = clean()
    add("train", "a/O b/B-RARE")(corpus)
    assert quality.splits(corpus, 0)["few_examples"].isna().all()


def test_what_ends_too_early_is_found_in_the_schemes_that_mark_ends():
    corpus = {
        split: [replace(s, tags=("B-X", *("O",) * (len(s.tags) - 1))) for s in part] for split, part in clean().items()
    }
    first = [(split, s.lines[1], "O cannot follow B-X in BIOES") for split, part in corpus.items() for s in part]
    assert found_in(tables(corpus, "BIOES"))["illegal_transition"] == first
    assert "illegal_transition" not in found_in(tables(corpus, "BIOE"))


@settings(max_examples=25)  # a table each
@given(st.lists(st.sampled_from(["O", "B-A", "I-A", "I-B", "x", "S-A"]), min_size=1, max_size=6))
def test_a_word_has_a_find_where_its_tag_has_a_fault(tags):
    sentence = Sentence(tuple("abcdef"[: len(tags)]), tuple(tags), "f", tuple(range(3, 3 + len(tags))))
    table = quality.tokens({"train": [sentence]}, "IOB2")
    either = table[table["malformed_tag"].notna() | table["illegal_transition"].notna()]
    assert not (table["malformed_tag"].notna() & table["illegal_transition"].notna()).any()
    assert either["line"].tolist() == [3 + fault.word for fault in faults(tags, "IOB2")]


@settings(max_examples=25)
@given(st.lists(st.text(max_size=4), min_size=1, max_size=5))
def test_any_words_can_be_checked(words):
    sentence = Sentence(tuple(words), ("O",) * len(words), "f", tuple(range(1, len(words) + 1)))
    table = quality.tokens({"train": [sentence]}, "IOB2")
    assert table["word"].tolist() == words
    shown = table["empty_word"].isna() & table["invisible_word"].isna()
    assert [bool(w.strip()) and any(c.isprintable() and not c.isspace() for c in w) for w in words] <= shown.tolist()


def test_statistics_count_what_is_there():
    corpus = clean()
    found = quality.statistics(corpus | {"dev": []})
    lengths = [len(s.words) for s in corpus["train"]]
    assert found["train"] == {
        "sentences": 6,
        "documents": 0,
        "words": sum(lengths),
        "words_in_entities": 10,
        "entities": {"LOC": 2, "MISC": 2, "ORG": 2, "PER": 3},
        "length_median": float(np.median(lengths)),
        "length_p95": pytest.approx(float(np.quantile(lengths, 0.95))),
        "length_max": 4,
    }
    assert found["dev"] == dict.fromkeys(found["train"], 0) | {"entities": {}}
    marked = [replace(s, document=number // 2) for number, s in enumerate(corpus["train"])]
    assert quality.statistics({"train": marked})["train"]["documents"] == 3


def test_great_expectations_finds_the_same():
    from tasks.check import validate

    severities = dict.fromkeys(CHECKS, "warning") | {"duplicate": "error"}
    verdict = validate(tables(clean()), severities, None)
    assert {name: row["found"] for name, row in verdict.items()} == dict.fromkeys(CHECKS, 0)

    corpus = clean()
    for check, damage, *_ in DAMAGES:
        if check != "empty_split":
            damage(corpus)
    untag("dev")(corpus)
    made = tables(corpus)
    wanted = found_in(made)
    assert set(wanted) == set(CHECKS)
    del severities["zero_width"]  # off
    verdict = validate(made, severities, None)
    assert list(verdict) == list(severities)
    for name, row in verdict.items():
        rows = made[row["table"]]
        assert row["severity"] == severities[name]
        assert row["rows"] == len(rows)
        assert row["found"] == len(wanted[name])
        files = rows[rows[name].notna()]["file"]
        assert row["examples"] == [f"{f}:{line}: {why}" for f, (_, line, why) in zip(files, wanted[name], strict=True)]
