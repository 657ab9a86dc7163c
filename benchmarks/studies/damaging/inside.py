"""Damages to words, tags and sentences, of which a copy of the corpus can hold all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from benchmarks.studies.damaging.corpus import Corpus, Damage, Row, Sentence, entities, is_document, retag, untag
from fpplm_core.quality.mention_table import LONGEST
from fpplm_core.tagging.spans import Span


def word_damage(change: Callable[[str], str]) -> Callable[[Corpus], Row]:
    def damage(corpus: Corpus) -> Row:
        row = corpus.pick_row("train")
        row[0] = change(row[0])
        return row

    return damage


def tag_damage(tag: Callable[[Corpus], str]) -> Callable[[Corpus], Row]:
    def damage(corpus: Corpus) -> Row:
        row = corpus.pick_row("train")
        row[-1] = tag(corpus)
        return row

    return damage


def other_type_inside(corpus: Corpus) -> Row:
    sentence = corpus.pick("train", lambda s: any(span.end - span.start > 1 for span in entities(s)))
    span = next(span for span in entities(sentence) if span.end - span.start > 1)
    sentence[span.start + 1][-1] = "I-" + next((t for t in corpus.types() if t != span.type), "Other")
    return sentence[span.start + 1]


def edge(corpus: Corpus) -> Row:
    """An entity that takes the comma behind it along."""

    def fit(sentence: Sentence) -> Span | None:
        spans = entities(sentence)
        for span in spans:
            if (
                span.end < len(sentence)
                and sentence[span.end][0] in (",", ";", "，", "、", "。", ".")
                and sentence[span.end][-1] == "O"
            ):
                return span
        return None

    sentence = corpus.pick("train", fit)
    span = fit(sentence)
    assert span is not None
    sentence[span.end][-1] = f"I-{span.type}"
    return sentence[span.end]


def copy_into(split: str, change: Callable[[Sentence], None], least: int = 8) -> Callable[[Corpus], Row]:
    def damage(corpus: Corpus) -> Row:
        source = corpus.pick("train", lambda s: s[-2][-1] == "O" and s[-2][0].isalpha() and entities(s), least=least)
        copy = corpus.add(split, source)
        change(copy)
        return copy[0]

    return damage


def another_word(sentence: Sentence) -> None:
    sentence[-2][0] = "otherwise"


def merge(corpus: Corpus) -> Row:
    """Blank lines lost: many sentences become one."""
    train = corpus.splits["train"]
    median = sorted(map(len, train))[len(train) // 2]
    start = next(
        i for i, s in enumerate(train) if i > len(train) // 2 and id(s) not in corpus.touched and not is_document(s)
    )
    end, merged = start, list[Row]()
    while len(merged) < max(250, 25 * median):
        if id(train[end]) in corpus.touched or is_document(train[end]):
            end += 1
            continue
        merged += train[end]
        end += 1
    kept = [s for s in train[start:end] if id(s) in corpus.touched or is_document(s)]
    train[start:end] = [merged, *kept]
    corpus.touched.add(id(merged))
    return merged[0]


def foreign(corpus: Corpus) -> Row:
    sentence = corpus.pick("train", lambda s: not entities(s), least=6)
    for row in sentence:
        row[0] = "".join(chr(0x10D0 + ord(c) % 33) if c.isalpha() else c for c in row[0])  # Georgian
    return sentence[0]


def often(corpus: Corpus, least: int, wanted: Callable[[str], Any] = bool) -> tuple[Sentence, Span]:
    """A mention that is tagged with one type alone, at least so often, in a sentence that nothing has touched."""
    kinds: dict[str, Counter[str]] = {}
    for _, span, text in corpus.mentions():
        kinds.setdefault(text, Counter())[span.type] += 1
    found = [
        (sentence, span)
        for sentence, span, text in corpus.mentions()
        if len(kinds[text]) == 1
        and kinds[text].total() >= least
        and len(text) > 3
        and wanted(text)
        and id(sentence) not in corpus.touched
        and len(entities(sentence)) == len({s[:2] for s in entities(sentence)})
    ]
    if not found:
        raise LookupError("no mention that often")
    sentence, span = corpus.chance.choice(found)
    corpus.touched.add(id(sentence))
    return sentence, span


def relabel(corpus: Corpus) -> Row:
    sentence, span = often(corpus, 5)
    kind = next((t for t in corpus.types() if t != span.type), "Other")
    retag(sentence, [s._replace(type=kind) if s == span else s for s in entities(sentence)])
    return sentence[span.start]


def sought(text: str) -> bool:
    """Of the mentions that untagged_mention looks for: several words, a capital or a digit, and not too long."""
    words = text.split(" ")
    return len(words) <= LONGEST and (len(words) > 1 or any(c.isupper() or c.istitle() or c.isdecimal() for c in text))


def forget(corpus: Corpus) -> Row:
    sentence, span = often(corpus, 5, sought)
    retag(sentence, [s for s in entities(sentence) if s != span])
    return sentence[span.start]


def punctuation(corpus: Corpus) -> Row:
    row = corpus.pick_row("train", lambda word: word in (",", ";", ":", "，", "、", "。"))
    row[-1] = f"B-{corpus.types()[0]}"
    return row


def new_type(split: str) -> Callable[[Corpus], Row]:
    def damage(corpus: Corpus) -> Row:
        row = corpus.pick_row(split)
        row[-1] = f"B-New{split}"
        return row

    return damage


def blank_in_entity(corpus: Corpus) -> Row:
    """A word of white space that an entity takes along."""
    sentence = corpus.pick("train", lambda s: any(span.end < len(s) for span in entities(s)))
    span = next(span for span in entities(sentence) if span.end < len(sentence))
    row = [*sentence[span.end - 1]]
    row[0], row[-1] = "\u00a0", f"I-{span.type}"
    sentence.insert(span.end, row)
    return row


def across(corpus: Corpus) -> Row:
    """An empty line inside an entity."""
    sentence = corpus.pick("train", lambda s: any(span.end - span.start > 1 for span in entities(s)), least=6)
    middle = next(span.start + 1 for span in entities(sentence) if span.end - span.start > 1)
    behind = sentence[middle:]
    del sentence[middle:]
    train = corpus.splits["train"]
    place = next(number for number, one in enumerate(train) if one is sentence)
    train.insert(place + 1, behind)
    corpus.touched.add(id(behind))
    corpus.crossing = behind
    return behind[0]


def spelled(word: str) -> str:
    return word + "e\u0301"


INSIDE = [
    Damage("tag without prefix", "malformed_tag", tag_damage(lambda c: c.types()[0])),
    Damage("unknown prefix", "malformed_tag", tag_damage(lambda c: f"X-{c.types()[0]}")),
    Damage("tag of another case", "malformed_tag", tag_damage(lambda c: f"b-{c.types()[0]}")),
    Damage("I- without B-", "illegal_transition", tag_damage(lambda c: f"I-{c.types()[0]}")),
    Damage("another type inside", "illegal_transition", other_type_inside),
    Damage("word of white space", "empty_word", word_damage(lambda _: "\u00a0")),
    Damage("control character", "control_character", word_damage(lambda w: w + "\x07")),
    Damage("replacement character", "control_character", word_damage(lambda w: w[:1] + "\ufffd" + w[1:])),
    Damage("invisible word", "invisible_word", word_damage(lambda _: "\u2060\u2060")),
    Damage("zero-width space inside", "zero_width", word_damage(lambda w: w[:1] + "\u200b" + w[1:])),
    Damage("byte order mark inside", "byte_order_mark", word_damage(lambda w: "\ufeff" + w)),
    Damage("UTF-8 read as Latin-1", "mojibake", word_damage(lambda _: "cafés".encode().decode("latin-1"))),
    Damage("decomposed letters", "not_normalised", word_damage(spelled)),
    Damage("homoglyph", "mixed_script", word_damage(lambda _: "p\u0430yment")),
    Damage("no piece of the encoder", "unknown_pieces", word_damage(lambda _: "\U00013000\U00013001")),
    Damage("e-mail address", "personal_data", word_damage(lambda _: "ann.b@example.org")),
    Damage("credit card number", "personal_data", word_damage(lambda _: "4111111111111111")),
    Damage("entity with the comma behind it", "entity_edge", edge),
    Damage("words glued together", "long_word", word_damage(lambda w: w * (150 // len(w) + 1))),
    Damage("sentence twice", "duplicate", copy_into("train", lambda s: None)),
    Damage("sentence twice, tagged otherwise", "conflicting_duplicate", copy_into("train", untag)),
    Damage("sentence twice, a word changed", "near_duplicate", copy_into("train", another_word, least=25)),
    Damage("training sentence in test", "leakage", copy_into("test", lambda s: None)),
    Damage("nearly a training sentence in test", "near_leakage", copy_into("test", another_word, least=25)),
    Damage("training sentence in dev", "leakage", copy_into("dev", lambda s: None)),
    Damage("entity with white space at its edge", "empty_word", blank_in_entity),
    Damage("tag missing (-)", "malformed_tag", tag_damage(lambda _: "-")),
    Damage("tag without a type", "malformed_tag", tag_damage(lambda _: "B-")),
    Damage("sentence border inside an entity", "illegal_transition", across),
    Damage("entity of punctuation alone", "entity_edge", punctuation),
    Damage("blank lines lost", "merged_sentence", merge),
    Damage("sentence beyond the window", "long_sentence", merge),
    Damage("sentence in another script", "foreign_script", foreign),
    Damage("mention of another type", "conflicting_mention", relabel),
    Damage("mention not tagged", "untagged_mention", forget),
    Damage("type with one example", "few_examples", new_type("train")),
    Damage("type that train lacks", "unknown_type", new_type("dev")),
]
