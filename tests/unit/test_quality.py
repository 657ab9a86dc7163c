import io
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpplm_core import quality
from fpplm_core.labels import faults, lenient_spans
from fpplm_core.params import load
from fpplm_core.text import Sentence, is_invisible
from tasks.read import SCHEMA, batches

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


def parquet(corpus: Corpus) -> quality.Corpus:
    """The corpus as the read stage writes it."""
    files = {}
    for split, part in corpus.items():
        files[split] = io.BytesIO()
        with pq.ParquetWriter(files[split], SCHEMA) as writer:
            for batch in batches(part):
                writer.write_batch(batch)
    return {split: pq.ParquetFile(file) for split, file in files.items()}


def lengths(words: list[str]) -> list[int]:
    """As many pieces as a word has characters, at least one."""
    return [max(1, len(word)) for word in words]


def tables(
    corpus: Corpus, scheme: str = "IOB2", pieces=lambda words: [1] * len(words)
) -> dict[str, list[pd.DataFrame]]:
    data = parquet(corpus)
    return {
        "tokens": list(quality.tokens(data, scheme)),
        "sentences": [quality.sentences(data, pieces, ROOM, LEAKAGE_WORDS)],
        "splits": [quality.splits(data, quality.statistics(data), MIN_EXAMPLES)],
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


def test_there_is_a_damage_for_every_check():
    settings = load(Path(__file__).resolve().parents[2] / "params.yaml")
    assert sorted(settings.check.severities()) == CHECKS
    assert {name: tuple(part.columns) for name, (part,) in tables(clean()).items()} == quality.CHECKS
    assert sorted(name for names in quality.CHECKS.values() for name in names) == CHECKS


def test_a_clean_corpus_has_nothing_to_find():
    assert found_in(tables(clean())) == {}


@pytest.mark.parametrize(("check", "damage", "split", "line", "reason"), DAMAGES)
def test_a_damage_is_found_by_its_check_at_its_place_and_by_no_other(check, damage, split, line, reason):
    corpus = clean()
    damage(corpus)
    found = found_in(tables(corpus))
    assert set(found) == {check}
    (said,) = found[check]
    assert said.startswith((f"{split}.conll:{line}: ", f"{split}:{line}: "))
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
    data = parquet(corpus)
    assert quality.splits(data, quality.statistics(data), 0)["few_examples"].isna().all()


def test_what_ends_too_early_is_found_in_the_schemes_that_mark_ends():
    corpus = {
        split: [replace(s, tags=("B-X", *("O",) * (len(s.tags) - 1))) for s in part] for split, part in clean().items()
    }
    first = [f"{s.file}:{s.lines[1]}: O cannot follow B-X in BIOES" for part in corpus.values() for s in part]
    assert found_in(tables(corpus, "BIOES"))["illegal_transition"] == first
    assert "illegal_transition" not in found_in(tables(corpus, "BIOE"))


def slow_tokens(corpus: Corpus, scheme: str) -> list[dict[str, str | None]]:
    """The rows of `tokens` by a loop over words."""
    rows = []
    for part in corpus.values():
        for s in part:
            found = {fault.word: fault.reason for fault in faults(s.tags, scheme)}
            for index, (line, word) in enumerate(zip(s.lines, s.words, strict=True)):
                reason, shown = found.get(index), word.strip()
                bad_tag = reason is not None and reason.startswith(("malformed", "unknown"))
                hidden = bool(shown) and is_invisible(word)
                wrong = {
                    "malformed_tag": reason if bad_tag else None,
                    "illegal_transition": None if bad_tag else reason,
                    "empty_word": None if shown else "a word without a visible character",
                    "control_character": f"control or replacement character: {word!a}"
                    if shown and quality._CONTROL.search(word)
                    else None,
                    "invisible_word": f"invisible characters alone: {word!a}" if hidden else None,
                    "zero_width": f"zero-width character: {word!a}"
                    if quality._ZERO_WIDTH.search(word) and not hidden
                    else None,
                }
                rows.append({name: said and f"{s.file}:{line}: {said}" for name, said in wrong.items()})
    return rows


def slow_sentences(corpus: Corpus) -> list[dict[str, str | None]]:
    """The rows of `sentences` by a loop over sentences, with all texts in memory."""
    every = [(split, s, " ".join(s.words), " ".join(s.tags)) for split, part in corpus.items() for s in part]
    first: dict[object, Sentence] = {}
    readings: dict[str, set[str]] = {}
    for split, s, text, tags in every:
        first.setdefault(text, s)
        first.setdefault((split, text), s)
        readings.setdefault(text, set()).add(tags)
    rows = []
    for split, s, text, _ in every:
        before, anywhere, trained = first[split, text], first[text], first.get(("train", text))
        pieces = sum(lengths(s.words))
        leaks = split != "train" and trained and len(s.words) >= LEAKAGE_WORDS
        wrong = {
            "duplicate": f"also at {place(before)}" if before is not s else None,
            "conflicting_duplicate": f"tagged in another way at {place(anywhere)}"
            if len(readings[text]) > 1 and anywhere is not s
            else None,
            "leakage": f"in train at {place(trained)}" if leaks else None,
            "long_sentence": f"{pieces} pieces, a window holds {ROOM}" if pieces > ROOM else None,
        }
        rows.append({name: said and f"{place(s)}: {said}" for name, said in wrong.items()})
    return rows


def place(sentence: Sentence) -> str:
    return f"{sentence.file}:{sentence.lines[0]}"


def slow_statistics(part: list[Sentence]) -> dict[str, object]:
    sizes = [len(s.words) for s in part]
    return {
        "sentences": len(part),
        "documents": len({(s.file, s.document) for s in part if s.document is not None}),
        "words": sum(sizes),
        "words_in_entities": sum(tag != "O" for s in part for tag in s.tags),
        "entities": dict(sorted(Counter(span.type for s in part for span in lenient_spans(s.tags)).items())),
        "length_median": float(np.median(sizes)) if part else 0.0,
        "length_p95": pytest.approx(float(np.quantile(sizes, 0.95))) if part else 0.0,
        "length_max": max(sizes, default=0),
    }


some_words = st.one_of(
    st.sampled_from(["a", "Paris", "a b", "\u200b", "m\u200bet", "x\ufffd", "", "\u00a0", "\x1c", "\x07"]),
    st.text(max_size=3),
)
some_tags = st.sampled_from(["O", "B-A", "I-A", "I-B", "E-A", "S-A", "x", "Q-A", "B-", ""])
rows_of_words = st.lists(st.tuples(some_words, some_tags), min_size=1, max_size=5)


@st.composite
def corpora(draw) -> Corpus:
    """Three splits with few distinct sentences, so that many are alike."""
    pool = draw(st.lists(rows_of_words, min_size=1, max_size=4))
    corpus: Corpus = {}
    for split in ("train", "dev", "test"):
        corpus[split], line = [], draw(st.integers(1, 5))
        for pairs in draw(st.lists(st.sampled_from(pool), max_size=6)):
            words = tuple(word for word, _ in pairs)
            tags = tuple(tag if draw(st.booleans()) else "O" for _, tag in pairs)
            file = f"{split}{draw(st.integers(0, 1))}.conll"
            document = draw(st.sampled_from([None, 0, 1]))
            corpus[split].append(Sentence(words, tags, file, tuple(range(line, line + len(words))), document))
            line += len(words) + 1
    return corpus


@pytest.mark.parametrize("size", [1, 2, 10_000])
@settings(max_examples=30)
@given(corpus=corpora(), scheme=st.sampled_from(["IOB2", "BIOES", "BIOE"]))
def test_columns_are_those_of_a_loop_over_words_whatever_the_batches(size, corpus, scheme):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "SENTENCES", size)
        patch.setattr(quality, "ROWS", 3 * size)
        made = tables(corpus, scheme, lengths)
        data = parquet(corpus)
        found = quality.statistics(data)
    tokens = pd.concat(made["tokens"])
    assert tokens.to_dict("records") == slow_tokens(corpus, scheme)
    assert made["sentences"][0].to_dict("records") == slow_sentences(corpus)
    assert found == {split: slow_statistics(part) for split, part in corpus.items()}
    assert all(len(part) < 3 * size + 5 * size for part in made["tokens"])


def test_statistics_count_what_is_there():
    corpus = clean()
    found = quality.statistics(parquet(corpus | {"dev": []}))
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
    assert quality.statistics(parquet({"train": marked}))["train"]["documents"] == 3


def test_great_expectations_finds_the_same():
    from tasks.check import EXAMPLES, validate

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
    made["tokens"] = [made["tokens"][0].iloc[:20], made["tokens"][0].iloc[20:]]  # validated one after another
    verdict = validate(made, severities, None)
    assert list(verdict) == list(severities)
    for name, row in verdict.items():
        assert row["severity"] == severities[name]
        assert row["rows"] == sum(map(len, made[row["table"]]))
        assert row["found"] == len(wanted[name])
        assert row["examples"] == wanted[name][:EXAMPLES]


def test_more_finds_than_are_listed_are_counted(tmp_path):
    from tasks.check import EXAMPLES, LISTED, validate

    parts = [pd.DataFrame({"empty_word": [f"f:{line}: empty" for line in range(LISTED * 3)]}, dtype=object)] * 2
    verdict = validate({"tokens": parts}, {"empty_word": "error"}, tmp_path / "docs")
    assert verdict["empty_word"]["found"] == verdict["empty_word"]["rows"] == LISTED * 6
    assert verdict["empty_word"]["examples"] == [f"f:{line}: empty" for line in range(EXAMPLES)]
    pages = list((tmp_path / "docs/validations").rglob("*.html"))
    assert len(pages) == 2
    for page in pages:
        assert page.read_text().count(": empty") >= LISTED
