"""Damages to whole splits, each of which needs a copy of the corpus of its own."""

from __future__ import annotations

from benchmarks.studies.damaging.corpus import Corpus, Damage, Row, entities, first_entity, is_document, retag, untag


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
    return first_entity(corpus.splits["train"], kind)


def always_a_rare_type(corpus: Corpus) -> Row:
    """The same with so few examples that spaCy looks at the type: 50 at most."""
    always_a_type(corpus)
    kind, train = corpus.types()[0], corpus.splits["train"]
    corpus.splits["train"] = [s for s in train if [span.type for span in entities(s)].count(kind) == 1][:40]
    return first_entity(corpus.splits["train"], kind)


def few_in_test(corpus: Corpus) -> Row:
    """Of the most frequent type, test keeps one mention."""
    kept, kind = 0, corpus.types()[0]
    for sentence in corpus.splits["test"]:
        if not is_document(sentence):
            spans = entities(sentence)
            left = [s for s in spans if s.type == kind][: 1 - kept]
            kept += len(left)
            retag(sentence, [s for s in spans if s.type != kind or s in left])
    return first_entity(corpus.splits["test"], kind)


def type_gone(corpus: Corpus) -> Row:
    """A type that dev has is tagged nowhere in train."""
    held = {span.type for s in corpus.splits["dev"] for span in entities(s)}
    kind = next((kind for kind in reversed(corpus.types()) if kind in held), None)
    if kind is None or len(corpus.types()) < 2:
        raise LookupError("there is one type")
    for sentence in corpus.splits["train"]:
        if not is_document(sentence):
            retag(sentence, [span for span in entities(sentence) if span.type != kind])
    return first_entity(corpus.splits["dev"], kind)


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
