"""Damages that annotated corpora come with: functions that do one to three splits, and give the row it is at."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fpplm_core.quality.mention_table import LONGEST
from fpplm_core.tagging.spans import Span, spans_from_tags, tags_from_spans

SEED = 1
SPLITS = ("train", "dev", "test")
Row = list[str]  # a line's columns; the word is the first, the tag the last
Sentence = list[Row]


class Corpus:
    """Three splits as sentences of rows, the damages done to them, and who was touched already."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.splits = {split: list(_sentences(folder / f"{split}.conll")) for split in SPLITS}
        self.touched: set[int] = set()
        self.heads: dict[str, Row] = {split: [split] for split in SPLITS}  # stand for the file as a whole
        self.cut: Row | None = None  # a word's first part, of which its entity is; then train is texts with mentions
        self.crossing: Sentence | None = None  # begins inside an entity of the sentence before it

    def pick(self, split: str, wanted: Callable[[Sentence], Any], least: int = 4, most: int = 60) -> Sentence:
        """A sentence of a split that no damage has touched yet; raises LookupError where there is none such."""
        order = list(range(len(self.splits[split])))
        self.chance.shuffle(order)
        for number in order:
            sentence = self.splits[split][number]
            fits = id(sentence) not in self.touched and least <= len(sentence) <= most
            if fits and not is_document(sentence) and wanted(sentence):
                self.touched.add(id(sentence))
                return sentence
        raise LookupError(f"no sentence in {split} for this damage")

    def add(self, split: str, sentence: Sentence) -> Sentence:
        """A copy of a sentence at the end of a split."""
        copy = [list(row) for row in sentence]
        self.touched.add(id(copy))
        self.splits[split].append(copy)
        return copy

    def write(self, folder: Path) -> dict[int, str]:
        """Writes the files; file:line of each row, by its identity."""
        folder.mkdir(parents=True, exist_ok=True)
        places: dict[int, str] = {}
        for split, sentences in self.splits.items():
            path, lines = folder / f"{split}.conll", list[str]()
            for sentence in sentences:
                for row in sentence:
                    lines.append("\t".join(row))
                    places[id(row)] = f"{path}:{len(lines)}"
                lines.append("")
            path.write_bytes("\n".join([*lines, ""]).encode("utf-8", "surrogateescape"))
            places[id(self.heads[split])] = str(path)
        if self.cut is not None:
            (folder / "train.conll").unlink()
            self._write_texts(folder / "train.jsonl", places)
        return places

    def _write_texts(self, path: Path, places: dict[int, str]) -> None:
        lines = list[str]()
        for sentence in filter(lambda s: not is_document(s), self.splits["train"]):
            text, starts = "", list[int]()
            for row in sentence:
                starts.append(len(text))
                text += row[0] if row is self.cut else row[0] + " "
                places[id(row)] = f"{path}:{len(lines) + 1}"
            mentions = [
                {"start": starts[s.start], "end": starts[s.end - 1] + len(sentence[s.end - 1][0]), "label": s.type}
                for s in entities(sentence)
            ]
            lines.append(json.dumps({"text": text.rstrip(" "), "entities": mentions}, ensure_ascii=False))
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")

    def types(self) -> list[str]:
        found = Counter(span.type for s in self.splits["train"] for span in entities(s))
        return [kind for kind, _ in found.most_common()]

    def mentions(self) -> Iterator[tuple[Sentence, Span, str]]:
        for sentence in self.splits["train"]:
            for span in entities(sentence):
                yield sentence, span, " ".join(row[0] for row in sentence[span.start : span.end])


def _sentences(path: Path) -> Iterator[Sentence]:
    held: Sentence = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line:
            held.append(line.split("\t"))
        elif held:
            yield held
            held = []
    if held:
        yield held


def is_document(sentence: Sentence) -> bool:
    return sentence[0][0] == "-DOCSTART-"


def entities(sentence: Sentence) -> list[Span]:
    return spans_from_tags([row[-1] for row in sentence])


def outside(sentence: Sentence, test: Callable[[str], Any] = str.isalpha) -> Row | None:
    """The first word of no entity, with none beside it, that passes a test."""
    tags = ["O", *(row[-1] for row in sentence), "O"]
    for place, row in enumerate(sentence, start=1):
        if tags[place - 1] == tags[place] == tags[place + 1] == "O" and test(row[0]):
            return row
    return None


def retag(sentence: Sentence, spans: list[Span]) -> None:
    for row, tag in zip(sentence, tags_from_spans(spans, len(sentence), "IOB2"), strict=True):
        row[-1] = tag


def word_damage(change: Callable[[str], str], test: Callable[[str], Any] = str.isalpha) -> Callable[[Corpus], Row]:
    def damage(corpus: Corpus) -> Row:
        row = outside(corpus.pick("train", lambda s: outside(s, test)), test)
        assert row is not None
        row[0] = change(row[0])
        return row

    return damage


def tag_damage(tag: Callable[[Corpus], str]) -> Callable[[Corpus], Row]:
    def damage(corpus: Corpus) -> Row:
        row = outside(corpus.pick("train", outside))
        assert row is not None
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


def untag(sentence: Sentence) -> None:
    retag(sentence, [])


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
    def fit(sentence: Sentence) -> Row | None:
        return outside(sentence, lambda word: word in (",", ";", ":", "，", "、", "。"))

    row = fit(corpus.pick("train", fit))
    assert row is not None
    row[-1] = f"B-{corpus.types()[0]}"
    return row


def new_type(split: str) -> Callable[[Corpus], Row]:
    def damage(corpus: Corpus) -> Row:
        sentence = corpus.pick(split, outside)
        row = outside(sentence)
        assert row is not None
        row[-1] = f"B-New{split}"
        return corpus.splits[split][0][0]  # it is said of the file, at its first line

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


class Damage(NamedTuple):
    """What is done, which check must find it, and how; `apply` gives the row at whose line."""

    name: str
    check: str
    apply: Callable[[Corpus], Row]


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


def other_types(corpus: Corpus) -> Row:
    if len(corpus.types()) < 2:
        raise LookupError("there is one type")
    for sentence in corpus.splits["test"]:
        if not is_document(sentence):
            retag(sentence, [span._replace(type=corpus.types()[-1]) for span in entities(sentence)])
    return corpus.splits["test"][0][0]


def no_entity(corpus: Corpus) -> Row:
    for sentence in corpus.splits["dev"]:
        if not is_document(sentence):
            untag(sentence)
    return corpus.splits["dev"][0][0]


def only_with_entities(corpus: Corpus) -> Row:
    corpus.splits["train"] = [s for s in corpus.splits["train"] if entities(s)]
    return corpus.splits["train"][0][0]


def document_twice(corpus: Corpus) -> Row:
    train = corpus.splits["train"]
    starts = [i for i, s in enumerate(train) if is_document(s)]
    if len(starts) < 3:
        raise LookupError("documents are not marked")
    copied = [[list(row) for row in s] for s in train[starts[1] : starts[2]]]
    corpus.splits["test"] += copied
    return copied[1][0]


def few_left(corpus: Corpus) -> Row:
    train = corpus.splits["train"]
    corpus.splits["train"] = [s for s in train if not is_document(s)][:90]
    return corpus.splits["train"][0][0]


def always_a_type(corpus: Corpus) -> Row:
    kind = corpus.types()[0]
    train = corpus.splits["train"]
    corpus.splits["train"] = [s for s in train if any(span.type == kind for span in entities(s))]
    return corpus.splits["train"][0][0]


def always_a_rare_type(corpus: Corpus) -> Row:
    """The same with so few examples that spaCy looks at the type: 50 at most."""
    always_a_type(corpus)
    kind, train = corpus.types()[0], corpus.splits["train"]
    corpus.splits["train"] = [s for s in train if [span.type for span in entities(s)].count(kind) == 1][:40]
    return corpus.splits["train"][0][0]


def few_in_test(corpus: Corpus) -> Row:
    """Of the most frequent type, test keeps one mention."""
    kept, kind = 0, corpus.types()[0]
    for sentence in corpus.splits["test"]:
        if not is_document(sentence):
            spans = entities(sentence)
            left = [s for s in spans if s.type == kind][: 1 - kept]
            kept += len(left)
            retag(sentence, [s for s in spans if s.type != kind or s in left])
    return corpus.splits["test"][0][0]


def type_gone(corpus: Corpus) -> Row:
    """A type that dev has is tagged nowhere in train."""
    held = {span.type for s in corpus.splits["dev"] for span in entities(s)}
    kind = next((kind for kind in reversed(corpus.types()) if kind in held), None)
    if kind is None or len(corpus.types()) < 2:
        raise LookupError("there is one type")
    for sentence in corpus.splits["train"]:
        if not is_document(sentence):
            retag(sentence, [span for span in entities(sentence) if span.type != kind])
    return corpus.splits["dev"][0][0]


APART = [
    Damage("few training sentences", "few_sentences", few_left),
    Damage("type in every training sentence", "always_present", always_a_type),
    Damage("type in each of 40 training sentences", "always_present", always_a_rare_type),
    Damage("type with one example in test", "few_test_examples", few_in_test),
    Damage("type gone from train", "unknown_type", type_gone),
    Damage("other types in test", "label_drift", other_types),
    Damage("dev without an entity", "empty_split", no_entity),
    Damage("no sentence without an entity", "always_present", only_with_entities),
    Damage("document of train in test", "document_leakage", document_twice),
]


def line_damage(change: Callable[[Row], None]) -> Callable[[Corpus], Row]:
    def damage(corpus: Corpus) -> Row:
        row = outside(corpus.pick("train", outside))
        assert row is not None
        change(row)
        return row

    return damage


def no_dev(corpus: Corpus) -> Row:
    corpus.splits["dev"] = []
    return corpus.heads["dev"]


def cut_word(corpus: Corpus) -> Row:
    """An entity that ends inside its last word, in texts with mentions."""

    def fit(sentence: Sentence) -> int | None:
        for span in entities(sentence):
            word = sentence[span.end - 1][0]
            if len(word) > 4 and word.isascii() and word.isalpha():
                return span.end - 1
        return None

    sentence = corpus.pick("train", fit)
    place = fit(sentence)
    assert place is not None
    row = sentence[place]
    rest = [*row]
    row[0], rest[0], rest[-1] = row[0][:-2], row[0][-2:], "O"
    sentence.insert(place + 1, rest)
    corpus.cut = row
    return row


UNREADABLE = [
    Damage("dev without a sentence", "read", no_dev),
    Damage("mention that ends inside a word", "read", cut_word),
    Damage("a column is missing", "read", line_damage(lambda row: row.pop())),
    Damage("a column too many", "read", line_damage(lambda row: row.append("O"))),
    Damage("bytes that are no UTF-8", "read", line_damage(lambda row: row.__setitem__(0, "caf\udce9"))),
]


def files_of(folder: Path) -> dict[str, Path]:
    return {split: next(folder.glob(f"{split}.*")) for split in SPLITS}


def damaged(folder: Path, damages: list[Damage], target: Path) -> tuple[Corpus, dict[str, Row | None], dict[int, str]]:
    """A copy with these damages, the row of each, and the places of all rows."""
    corpus = Corpus(folder, random.Random(SEED))
    rows: dict[str, Row | None] = {}
    for damage in damages:
        try:
            rows[damage.name] = damage.apply(corpus)
        except LookupError:
            rows[damage.name] = None
    return corpus, rows, corpus.write(target)
