"""Damages corpora in known ways, with a seed, and tells which damages the data check finds, and whether at their line.

    python benchmarks/damages.py DATA          # DATA/NAME/{train,dev,test}.conll; NAME … behind it: these alone
    python benchmarks/damages.py DATA --spacy  # beside `spacy debug data` on the same copies, where spaCy is installed

A copy holds all damages to words, tags and sentences, each in a sentence of its own; those to whole splits, and those
that make a file unreadable, have copies of their own. The clean corpus is checked first: it must show no error.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fpplm_core.errors import DataError
from fpplm_core.labels import Span, lenient_spans, to_tags
from fpplm_core.notes import Notes
from fpplm_core.params import Params, load
from tasks import check as stage
from tasks.read import as_corpus

SEED = 1
SPLITS = ("train", "dev", "test")
RESULTS = ROOT / "benchmarks" / "results"
Row = list[str]  # a line's columns; the word is the first, the tag the last
Sentence = list[Row]


class Corpus:
    """Three splits as sentences of rows, the damages done to them, and who was touched already."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.splits = {split: list(_sentences(folder / f"{split}.conll")) for split in SPLITS}
        self.touched: set[int] = set()

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
        return places

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
    return lenient_spans([row[-1] for row in sentence])


def outside(sentence: Sentence, test: Callable[[str], Any] = str.isalpha) -> Row | None:
    """The first word of no entity, with none beside it, that passes a test."""
    tags = ["O", *(row[-1] for row in sentence), "O"]
    for place, row in enumerate(sentence, start=1):
        if tags[place - 1] == tags[place] == tags[place + 1] == "O" and test(row[0]):
            return row
    return None


def retag(sentence: Sentence, spans: list[Span]) -> None:
    for row, tag in zip(sentence, to_tags(spans, len(sentence), "IOB2"), strict=True):
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


def often(corpus: Corpus, least: int) -> tuple[Sentence, Span]:
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


def forget(corpus: Corpus) -> Row:
    sentence, span = often(corpus, 5)
    retag(sentence, [s for s in entities(sentence) if s != span])
    return sentence[span.start]


def new_type(split: str) -> Callable[[Corpus], Row]:
    def damage(corpus: Corpus) -> Row:
        sentence = corpus.pick(split, outside)
        row = outside(sentence)
        assert row is not None
        row[-1] = f"B-New{split}"
        return corpus.splits[split][0][0]  # said of the file

    return damage


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


APART = [
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


UNREADABLE = [
    Damage("a column is missing", "read", line_damage(lambda row: row.pop())),
    Damage("a column too many", "read", line_damage(lambda row: row.append("O"))),
    Damage("bytes that are no UTF-8", "read", line_damage(lambda row: row.__setitem__(0, "caf\udce9"))),
]


class Found(NamedTuple):
    """Of a damage: whether its check found it at its line, or at all; None where the corpus has no place for it."""

    damage: str
    check: str
    at_line: bool | None
    found: bool | None


def examine(folder: Path, settings: Params) -> tuple[dict[str, Any] | None, str]:
    """The verdict on three files, or what reading them said."""
    with tempfile.TemporaryDirectory() as scratch:
        files = {split: [folder / f"{split}.conll"] for split in SPLITS}
        try:
            corpus, scheme, _ = as_corpus(files, settings.data, Path(scratch), Notes())
        except DataError as error:
            return None, str(error)
        return stage.check(corpus, scheme, settings, None, examples=1_000_000), ""


def judged(damage: Damage, row: Row | None, places: dict[int, str], verdict: dict[str, Any] | None, said: str) -> Found:
    if row is None:
        return Found(damage.name, damage.check, None, None)
    place = f"{places[id(row)]}:"
    if damage.check == "read":
        return Found(damage.name, damage.check, said.startswith(place), bool(said))
    check = verdict["checks"][damage.check] if verdict else {"examples": [], "found": 0}
    return Found(damage.name, damage.check, any(e.startswith(place) for e in check["examples"]), check["found"] > 0)


def damaged(folder: Path, damages: list[Damage], target: Path) -> tuple[dict[str, Row | None], dict[int, str]]:
    """A copy with these damages: the row of each, and the places of all rows."""
    corpus = Corpus(folder, random.Random(SEED))
    rows: dict[str, Row | None] = {}
    for damage in damages:
        try:
            rows[damage.name] = damage.apply(corpus)
        except LookupError:
            rows[damage.name] = None
    return rows, corpus.write(target)


def run(folder: Path, settings: Params, target: Path) -> tuple[dict[str, Any], list[Found]]:
    """The verdict on the clean corpus, and what became of each damage."""
    clean, said = examine(folder, settings)
    if clean is None:
        raise DataError("the clean corpus cannot be read", where=str(folder), got=said)
    results = []
    for number, damages in enumerate([INSIDE, *([damage] for damage in [*APART, *UNREADABLE])]):
        copy = target / f"{number}"
        rows, places = damaged(folder, damages, copy)
        verdict, said = examine(copy, settings)
        results += [judged(damage, rows[damage.name], places, verdict, said) for damage in damages]
    return clean, results


def main() -> None:
    data, *names = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    folders = [
        p for p in sorted(Path(data).iterdir()) if (p / "train.conll").exists() and (not names or p.name in names)
    ]
    settings = load(ROOT / "params.yaml")
    table: dict[str, dict[str, Any]] = {}
    for folder in folders:
        with tempfile.TemporaryDirectory() as scratch:
            clean, results = run(folder, settings, Path(scratch))
        missed = [found for found in results if found.at_line is False]
        counts = Counter(found.at_line for found in results)
        print(f"{folder.name}: clean {clean['errors']} errors, {clean['warnings']} kinds of warning; ", end="")
        print(
            f"damages found at their line {counts[True]}, missed {counts[False]}, no place for {counts[None]}",
            flush=True,
        )
        for found in missed:
            print(f"  MISSED {found.damage} ({found.check}); found elsewhere: {found.found}")
        table[folder.name] = {
            "clean": {name: row["found"] for name, row in clean["checks"].items() if row["found"]},
            "clean_errors": clean["errors"],
            "damages": {found.damage: found.at_line for found in results},
        }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "damages.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
