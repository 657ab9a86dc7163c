"""A corpus that can be damaged, and what a damage is."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fpplm_core.tagging.spans import Span, spans_from_tags, tags_from_spans

SEED = 1
SPLITS = ("train", "dev", "test")
LONGEST = 60  # words of a sentence that is damaged
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

    def pick(self, split: str, wanted: Callable[[Sentence], Any], least: int = 4) -> Sentence:
        """A sentence of a split that no damage has touched yet; raises LookupError where there is none such."""
        order = list(range(len(self.splits[split])))
        self.chance.shuffle(order)
        for number in order:
            sentence = self.splits[split][number]
            fits = id(sentence) not in self.touched and least <= len(sentence) <= LONGEST
            if fits and not is_document(sentence) and wanted(sentence):
                self.touched.add(id(sentence))
                return sentence
        raise LookupError(f"no sentence in {split} for this damage")

    def pick_row(self, split: str, test: Callable[[str], Any] = str.isalpha) -> Row:
        """A word of no entity that passes a test, in such a sentence."""
        row = outside(self.pick(split, lambda sentence: outside(sentence, test)), test)
        assert row is not None
        return row

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


def outside(sentence: Sentence, test: Callable[[str], Any]) -> Row | None:
    """The first word of no entity, with none beside it, that passes a test."""
    tags = ["O", *(row[-1] for row in sentence), "O"]
    for place, row in enumerate(sentence, start=1):
        if tags[place - 1] == tags[place] == tags[place + 1] == "O" and test(row[0]):
            return row
    return None


def retag(sentence: Sentence, spans: list[Span]) -> None:
    for row, tag in zip(sentence, tags_from_spans(spans, len(sentence), "IOB2"), strict=True):
        row[-1] = tag


def untag(sentence: Sentence) -> None:
    retag(sentence, [])


class Damage(NamedTuple):
    """What is done, which check must find it, and how; `apply` gives the row at whose line."""

    name: str
    check: str
    apply: Callable[[Corpus], Row]


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


def first_entity(sentences: Iterable[Sentence], kind: str) -> Row:
    """The first word of the first entity of a type."""
    return next(s[span.start] for s in sentences if not is_document(s) for span in entities(s) if span.type == kind)
