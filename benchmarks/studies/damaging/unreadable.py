"""Damages that make a file unreadable, each of which needs a copy of the corpus of its own."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.studies.damaging.corpus import Corpus, Damage, Row, Sentence, entities


def line_damage(change: Callable[[Row], object]) -> Callable[[Corpus], Row]:
    def damage(corpus: Corpus) -> Row:
        row = corpus.pick_row("train")
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
