import io
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from fpplm_core.data.corpus import SCHEMA, batches
from fpplm_core.data.records import Sentence
from fpplm_core.params import load
from fpplm_core.quality import columns, document_table, sentence_table
from fpplm_core.quality.checks import BY_NAME, TABLES, check_names
from fpplm_core.quality.mention_table import mentions
from fpplm_core.quality.split_table import drift, splits
from fpplm_core.quality.statistics import statistics
from fpplm_core.quality.token_table import tokens

CAPACITY, STRIDE, LEAKAGE_WORDS, NEAR, DRIFT = 8, 2, 3, 0.8, 0.2
LEAST = {"min_sentences": 3, "min_examples": 2, "min_test_examples": 0}
CLEAN = {
    "train": ["EU/B-ORG rejects/O German/B-MISC call/O", "Paris/B-LOC and/O New/B-LOC York/I-LOC", "Ann/B-PER met/O"],
    "dev": ["he/O saw/O Berlin/B-LOC", "Ann/B-PER slept/O", "they/O slept/O"],
    "test": ["Bob/B-PER left/O Rome/B-LOC", "no/O more/O", "so/O what/O"],
}
# So that no type is rare, and none is everywhere.
MORE = ["the/O EU/B-ORG", "Ann/B-PER or/O Bob/B-PER", "a/O German/B-MISC", "it/O rained/O"]
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


def together(*damages: Callable[[Corpus], None]) -> Callable[[Corpus], None]:
    def damage(corpus: Corpus) -> None:
        for one in damages:
            one(corpus)

    return damage


def mark(split: str, *documents: int) -> Callable[[Corpus], None]:
    """Marks the documents of a split's sentences."""

    def damage(corpus: Corpus) -> None:
        corpus[split] = [replace(s, document=n) for s, n in zip(corpus[split], documents, strict=True)]

    return damage


def more(split: str, row: str, number: int) -> Callable[[Corpus], None]:
    """Adds sentences, each of which has another word in place of #."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return together(*(add(split, row.replace("#", f"{letters[n // 26]}{letters[n % 26]}x")) for n in range(number)))


def keep(split: str, number: int) -> Callable[[Corpus], None]:
    return lambda corpus: corpus.update({split: corpus[split][:number]})


FEW = ("unknown_type", "few_examples", "always_present")
LONG = "the/O quick/O brown/O fox/O jumps/O over/O him/O"
# check, damage, split and line where it is found, what is said about it, and which other check finds it too
DAMAGES = [
    ("malformed_tag", tag("train", 0, 1, "BORG"), "train:2", "malformed tag: 'BORG' is not O or PREFIX-TYPE"),
    ("malformed_tag", tag("dev", 1, 1, "S-PER"), "dev:6", "unknown prefix 'S' in 'S-PER': IOB2 has B, I, O"),
    ("malformed_tag", tag("test", 1, 1, ""), "test:6", "malformed tag: '' is not O or PREFIX-TYPE"),
    (
        "malformed_tag",
        tag("train", 0, 1, "B-O"),
        "train:2",
        "malformed tag: 'B-O': O stands for no entity",
        "few_examples",
    ),
    ("malformed_tag", tag("train", 0, 1, "B-(missed)"), "train:2", "(missed) stands for no entity", "few_examples"),
    (
        "malformed_tag",
        tag("dev", 1, 1, "B-a\nb"),
        "dev:6",
        r"malformed tag: 'B-a\nb': the type has an invisible or control character",
        "unknown_type",
    ),
    (
        "malformed_tag",
        tag("test", 1, 1, "B-\u200b"),
        "test:6",
        "allowed are 1 to 100 visible characters and blanks",
        "unknown_type",
    ),
    (
        "malformed_tag",
        tag("test", 1, 1, "B-" + "x" * 101),
        "test:6",
        "'B-xxxxxxxxxxxxxxxxxx'...: the type has 101 characters",
        "unknown_type",
    ),
    ("illegal_transition", tag("test", 0, 1, "I-LOC"), "test:2", "I-LOC cannot follow B-PER in IOB2"),
    ("illegal_transition", tag("dev", 0, 0, "I-LOC"), "dev:1", "I-LOC cannot follow the sentence start in IOB2"),
    ("empty_word", word("train", 1, 1, ""), "train:7", "a word without a visible character"),
    ("empty_word", word("dev", 0, 1, "\u00a0"), "dev:2", "a word without a visible character"),
    ("control_character", word("train", 0, 3, "ca\x07ll"), "train:4", r"replacement character: 'ca\x07ll'"),
    ("control_character", word("test", 1, 0, "n\ufffd"), "test:5", r"replacement character: 'n\ufffd'"),
    ("control_character", word("test", 1, 0, "n\x9f"), "test:5", r"replacement character: 'n\x9f'"),
    ("invisible_word", word("test", 0, 1, "\u200b"), "test:2", r"only invisible characters: '\u200b'"),
    ("invisible_word", word("train", 2, 1, "\ufeff\u200d"), "train:12", r"only invisible characters: '\ufeff\u200d'"),
    ("zero_width", word("train", 2, 1, "m\u200bet"), "train:12", r"zero-width character: 'm\u200bet'"),
    ("zero_width", word("dev", 0, 0, "h\u00ade"), "dev:1", r"zero-width character: 'h\xade'"),
    ("byte_order_mark", word("dev", 0, 0, "\ufeffhe"), "dev:1", r"byte order mark: '\ufeffhe'"),
    ("mojibake", word("train", 1, 1, "CafÃ©"), "train:7", "'CafÃ©' looks like 'Café' decoded wrongly"),
    ("mojibake", word("test", 1, 0, "donâ€™t"), "test:5", "looks like 'don’t' decoded wrongly"),
    (
        "mojibake",
        together(word("test", 1, 0, "sÃ"), word("test", 1, 1, "©")),
        "test:5",
        "looks like 'sé' decoded wrong",
    ),
    (
        "not_normalised",
        together(word("dev", 0, 1, "sûr"), word("dev", 1, 1, "été"), word("test", 1, 0, "cafe\u0301")),
        "test:5",
        r"'cafe\u0301' is not in NFC, unlike most words",
    ),
    ("mixed_script", word("dev", 0, 1, "s\u0430w"), "dev:2", "Cyrillic letters in a Latin word: 's\u0430w'"),
    (
        "mixed_script",
        word("dev", 0, 1, "Mосква"),
        "dev:2",
        "Latin letters in a Cyrillic word: 'Mосква' (M U+004D",
    ),
    ("unknown_pieces", word("dev", 1, 1, "qq"), "dev:6", "the encoder has no known piece for 'qq'"),
    ("personal_data", word("test", 1, 0, "jo@a-b.org"), "test:5", "an e-mail address (jo…)"),
    ("personal_data", add("dev", "tel/O :/O 030/O 12/O 34/O 56/O"), "dev:102", "a phone number (03…)"),
    ("personal_data", add("test", "pay/O DE89/O 3704/O 0044/O 0532/O 0130/O 00/O"), "test:101", "an IBAN (DE…)"),
    ("entity_edge", add("train", "in/O Rome/B-LOC ,/I-LOC ok/O"), "train:102", "LOC 'Rome ,' ends with ','"),
    ("entity_edge", add("train", "in/O (/B-LOC Rome/I-LOC )/O"), "train:101", "LOC '( Rome' begins with '('"),
    ("entity_edge", add("train", "in/O Oslo/O -/B-LOC"), "train:102", "LOC '-' is only punctuation"),
    ("duplicate", add("train", "the/O EU/B-ORG"), "train:100", "also at train.conll:14"),
    ("duplicate", add("test", "no/O more/O"), "test:100", "also at test.conll:5"),
    ("conflicting_duplicate", add("dev", "Ann/B-PER met/B-PER"), "dev:100", "differently at train.conll:11"),
    (
        "near_duplicate",
        together(add("dev", LONG), add("dev", LONG.replace("the", "The"))),
        "dev:100",
        "nearly the same as the sentence at dev.conll:100 (100% alike)",
    ),
    ("leakage", add("dev", "Ann/B-PER or/O Bob/B-PER"), "dev:100", "in train at train.conll:17"),
    ("leakage", add("test", CLEAN["train"][0]), "test:100", "train.conll:1"),
    ("near_leakage", add("test", CLEAN["train"][0].replace("rej", "Rej")), "test:100", "at train.conll:1 (100% alike)"),
    ("long_sentence", add("dev", f"{LONG} too/O now/O"), "dev:100", "9 pieces, a window holds 8"),
    (
        "merged_sentence",
        add("dev", " ".join(f"w{number}/O" for number in range(201))),
        "dev:100",
        "201 words, the median is 2.5",
        "long_sentence",
    ),
    ("long_word", word("dev", 0, 1, "ab" * 51), "dev:2", "a word of 102 characters: 'abababababababababab'…"),
    (
        "foreign_script",
        together(more("train", "abcdefghijklmnopq#/O", 60), add("dev", "где/O он/O")),
        "dev:100",
        "most letters are Cyrillic, which is rare in the corpus",
    ),
    (
        "document_leakage",
        together(add("dev", CLEAN["train"][0]), mark("dev", 0, 0, 0, 4)),
        "dev:100",
        "train has 1 of this document's 1 sentences",
        "leakage",
    ),
    (
        "document_leakage",
        together(add("dev", CLEAN["dev"][0]), mark("dev", 0, 1, 2, 3)),
        "dev:100",
        "the same document as at dev.conll:1",
        "duplicate",
    ),
    (
        "conflicting_mention",
        together(more("dev", "#/O in/O Bonn/B-LOC", 4), add("dev", "Bonn/B-PER")),
        "dev:100",
        "'Bonn' is LOC 4 times (dev.conll:102), PER 1 times (dev.conll:100)",
    ),
    (
        "untagged_mention",
        together(more("dev", "#/O Bad/B-LOC Ems/I-LOC", 4), add("dev", "at/O Bad/O Ems/O")),
        "dev:101",
        "'Bad Ems' is untagged 1 times, and tagged 4 times (dev.conll:101)",
    ),
    ("empty_split", drop("dev"), "dev:1", "dev has no sentence"),
    ("empty_split", untag("test"), "test:1", "test has no entity"),
    ("few_sentences", keep("train", 2), "train:1", "2 sentences in train, at least 3 wanted", *FEW),
    ("label_drift", more("dev", "#/B-MISC", 40), "dev:1", "types in dev against train: MISC 22% to 95%, PER 33% to 2%"),
    ("always_present", keep("dev", 2), "dev:1", "every one of the 2 sentences of dev has an entity"),
    ("always_present", together(keep("dev", 1)), "dev:3", "every one of the 1 sentences of dev has LOC"),
    ("unknown_type", tag("test", 1, 1, "B-creative-work"), "test:6", "creative-work: 1 in test, none in train"),
    ("few_examples", add("train", "a/O b/B-RARE"), "train:101", "RARE: 1 in train, at least 2 wanted"),
]
CHECKS = sorted({*(name for name, *_ in DAMAGES), "few_test_examples", "unlisted_type"})


def parquet(corpus: Corpus) -> columns.Corpus:
    """The corpus as the read stage writes it."""
    files = {}
    for split, part in corpus.items():
        files[split] = io.BytesIO()
        with pq.ParquetWriter(files[split], SCHEMA) as writer:
            for batch in batches(part):
                writer.write_batch(batch)
    return {split: pq.ParquetFile(file) for split, file in files.items()}


def lengths(words: list[str]) -> list[int]:
    """As many pieces as a word has characters, at least one, and at most a window full."""
    return [min(max(1, len(word)), CAPACITY) for word in words]


def unknown(words: list[str]) -> list[bool]:
    return ["qq" in word for word in words]


def tables(
    corpus: Corpus, scheme: str = "IOB2", pieces=lambda words: [1] * len(words), **least: object
) -> dict[str, list[pd.DataFrame]]:
    data = parquet(corpus)
    sizes = statistics(data, pieces, CAPACITY, STRIDE)
    return {
        "tokens": list(tokens(data, scheme, unknown)),
        "sentences": [sentence_table.sentences(data, pieces, CAPACITY, LEAKAGE_WORDS, NEAR)],
        "documents": [document_table.documents(data, LEAKAGE_WORDS)],
        "mentions": [mentions(data, scheme)],
        "splits": [splits(data, sizes, scheme, **LEAST | least, drift=DRIFT)],
    }


def found_in(made: dict[str, list[pd.DataFrame]]) -> dict[str, list[str]]:
    """What every check has found: place and reason."""
    found: dict[str, list[str]] = {}
    for parts in made.values():
        for part in parts:
            for name in part.columns:
                if rows := part[name].dropna().tolist():
                    found.setdefault(name, []).extend(rows)
    return found


def test_there_is_a_damage_and_advice_for_every_check():
    made = {name: list(part.columns) for name, (part,) in tables(clean()).items()}
    assert made == {table: check_names(table) for table in TABLES}
    assert sorted(BY_NAME) == CHECKS
    settings = load(Path(__file__).resolve().parents[3] / "params.yaml")
    assert sorted(settings.check.severities()) == CHECKS


def test_a_clean_corpus_has_nothing_to_find():
    assert found_in(tables(clean())) == {}


@pytest.mark.parametrize(("check", "damage", "where", "reason", "others"), [(*d[:4], set(d[4:])) for d in DAMAGES])
def test_a_damage_is_found_by_its_check_at_its_place_and_by_no_other(check, damage, where, reason, others):
    corpus = clean()
    damage(corpus)
    found = found_in(tables(corpus))
    assert set(found) == {check} | others
    (said,) = found[check]
    split, line = where.split(":")
    assert said.startswith((f"{split}.conll:{line}: ", f"{split}:{line}: "))
    assert reason in said


def test_a_type_that_is_not_admitted():
    corpus = clean()
    tag("test", 1, 1, "B-per")(corpus)
    found = found_in(tables(corpus, admitted=("LOC", "MISC", "ORG", "PER")))
    assert found["unlisted_type"] == ["test.conll:6: 'per': 1 in test, but not one of LOC, MISC, ORG, PER"]
    assert "unlisted_type" not in found_in(tables(corpus)), "without a list, all are admitted"


def test_a_type_too_rare_to_be_measured():
    found = found_in(tables(clean(), min_test_examples=1))
    assert found == {
        "few_test_examples": [
            *(f"dev.conll:1: {kind}: 0 in dev, at least 1 wanted" for kind in ("MISC", "ORG")),
            *(f"test.conll:1: {kind}: 0 in test, at least 1 wanted" for kind in ("MISC", "ORG")),
        ]
    }


def test_a_document_cut_in_two_splits_is_a_leak():
    parts = {split: [replace(s, file="one.conll", document=0) for s in rows] for split, rows in clean().items()}
    found = document_table.documents(parquet(parts), LEAKAGE_WORDS)["document_leakage"].tolist()
    assert found and all(said.endswith("another split has other sentences of this document") for said in found)


def test_a_sentence_divided_into_other_words_is_not_tagged_differently():
    corpus = clean()
    first = corpus["train"][0]
    words = (f"{first.words[0]} {first.words[1]}", *first.words[2:])
    corpus["train"].append(replace(first, words=words, tags=("O",) * len(words), lines=first.lines[1:]))
    found = found_in(tables(corpus))
    assert set(found) >= {"duplicate"}
    assert "conflicting_duplicate" not in found


def test_short_sentences_in_two_splits_are_no_leak():
    corpus = clean()
    add("test", "a/O German/B-MISC")(corpus)
    assert found_in(tables(corpus)) == {}


def test_a_sentence_that_just_fits_a_window_is_not_long():
    corpus = clean()
    add("train", " ".join(["x/O"] * CAPACITY))(corpus)
    assert found_in(tables(corpus)) == {}


def test_without_a_wish_no_type_is_rare():
    corpus = clean()
    add("train", "a/O b/B-RARE")(corpus)
    assert "few_examples" not in found_in(tables(corpus, min_examples=0))


def test_what_ends_too_early_is_found_in_the_schemes_that_mark_ends():
    corpus = {
        split: [replace(s, tags=("B-X", *("O",) * (len(s.tags) - 1))) for s in part] for split, part in clean().items()
    }
    first = [f"{s.file}:{s.lines[1]}: O cannot follow B-X in BIOES" for part in corpus.values() for s in part]
    assert found_in(tables(corpus, "BIOES"))["illegal_transition"] == first
    assert "illegal_transition" not in found_in(tables(corpus, "BIOE"))


def test_statistics_count_what_is_there():
    corpus = clean()
    found = statistics(parquet(corpus | {"dev": []}), lengths, CAPACITY, STRIDE)
    sizes = [len(s.words) for s in corpus["train"]]
    letters = sum(char.isalpha() for s in corpus["train"] for word in s.words for char in word)
    assert asdict(found["train"]) == {
        "sentences": 7,
        "documents": 0,
        "words": 19,
        "words_in_entities": 10,
        "entity_share": 10 / 19,
        "sentences_with_entities": 6,
        "entities": {"LOC": 2, "MISC": 2, "ORG": 2, "PER": 3},
        "sentences_with": {"LOC": 1, "MISC": 2, "ORG": 2, "PER": 2},
        "length_median": 2.0,
        "length_p95": pytest.approx(float(np.quantile(sizes, 0.95))),
        "length_max": 4,
        "letters": {"Latin": letters},
        "pieces": letters,
        "windows": 12,
        "sentences_of_several_windows": 2,
    }
    assert asdict(found["dev"]) == dict.fromkeys(asdict(found["train"]), 0) | {
        "entities": {},
        "sentences_with": {},
        "letters": {},
    }
    marked = [replace(s, document=number // 2) for number, s in enumerate(corpus["train"])]
    assert statistics(parquet({"train": marked}), lengths, CAPACITY, STRIDE)["train"].documents == 4


def changed(corpus: Corpus) -> list[str]:
    before, after = (statistics(parquet(one), lengths, CAPACITY, STRIDE) for one in (clean(), corpus))
    return drift(*({split: asdict(size) for split, size in sizes.items()} for sizes in (before, after)), DRIFT)


def test_drift_says_what_has_changed_since_an_earlier_run():
    assert changed(clean()) == []
    assert changed(clean() | {"new": clean()["dev"]}) == ["new: is new"]
    assert changed({"train": clean()["train"]}) == ["dev: is gone", "test: is gone"]
    corpus = clean()
    more("train", "#/B-NEW", 40)(corpus)
    tag("test", 0, 0, "O")(corpus)
    found = changed(corpus)
    assert found[:2] == [
        "train: the type NEW is new (40)",
        "train: types: NEW 0% to 82%, PER 33% to 6%, LOC 22% to 4% (distance 0.79)",
    ]
    assert "train: sentences: 7 to 47" in found
    assert "test: the type PER is gone (1 before)" in found
    assert drift({"train": {"entities": {}}}, {"train": {"entities": {}, "words": 5}}, DRIFT) == []


def test_parts_of_speech_have_no_mentions_and_no_edges():
    rows = [f"{word}/S-NOUN ./S-PUNCT" for word in ("cat", "dog", "cow")]
    corpus = {split: sentences(f"{split}.conll", rows) for split in ("train", "dev", "test")}
    made = tables(corpus, "TAGS")
    assert len(made["mentions"][0]) == 0
    assert list(made["mentions"][0].columns) == check_names("mentions")
    assert found_in(made) == {}
    assert {"entity_edge", "always_present"} <= set(found_in(tables(corpus, "BIOES")))


def validated(made: dict[str, list[pd.DataFrame]], severities: dict[str, str]):
    from fpplm.checks import suites
    from fpplm.checks.validation import validate

    return validate(made, suites.load(severities, Path("no.yaml")))


def test_great_expectations_finds_the_same():
    from fpplm.checks.validation import EXAMPLES

    severities = dict.fromkeys(CHECKS, "warning") | {"duplicate": "error"}
    verdict = validated(tables(clean()), severities)
    assert {name: row.found for name, row in verdict.items()} == dict.fromkeys(CHECKS, 0)

    damaged = [tables(clean(), min_test_examples=1), tables(clean(), admitted=("PER",))]
    for _, damage, *_ in DAMAGES:
        corpus = clean()
        damage(corpus)
        damaged.append(tables(corpus))
    made = {name: pd.concat([part for one in damaged for part in one[name]], ignore_index=True) for name in TABLES}
    wanted = found_in({name: [table] for name, table in made.items()})
    assert set(wanted) == set(CHECKS)
    parts = {name: [table.iloc[:20], table.iloc[20:]] for name, table in made.items()}  # validated one after another
    verdict = validated(parts, severities | {"zero_width": "off"})
    assert set(verdict) == set(CHECKS) - {"zero_width"}
    for name, row in verdict.items():
        assert row.severity == severities[name]
        assert row.rows == len(made[row.table])
        assert row.found == len(wanted[name])
        assert row.examples == wanted[name][:EXAMPLES]


def test_more_finds_than_are_listed_are_counted():
    from fpplm.checks.validation import EXAMPLES, LISTED

    parts = [pd.DataFrame({"empty_word": [f"f:{line}: empty" for line in range(LISTED * 3)]}, dtype=object)] * 2
    severities = dict.fromkeys(CHECKS, "off") | {"empty_word": "error"}
    verdict = validated({"tokens": parts}, severities)
    assert verdict["empty_word"].found == verdict["empty_word"].rows == LISTED * 6
    assert verdict["empty_word"].examples == [f"f:{line}: empty" for line in range(EXAMPLES)]


def test_the_page_lists_every_check_as_it_is_defined():
    page = (Path(__file__).resolve().parents[3] / "docs/data.md").read_text(encoding="utf-8")
    rows = [f"| {check.table} | `{check.name}` | {check.severity} | {check.meaning} |" for check in BY_NAME.values()]
    assert "\n".join(rows) in page
