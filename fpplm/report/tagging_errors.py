"""The tagger's errors, by kind, with examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fpplm_core.evaluation.predictions import SentencePrediction
from fpplm_core.tagging.spans import Span

ERROR_KINDS = ("wrong type", "wrong borders", "spurious", "missed")
EXAMPLES = 7  # sentences of each kind of error


class Error(NamedTuple):
    """`kind` is one of ERROR_KINDS; a spurious span has no gold one, a missed one no predicted one."""

    kind: str
    gold: Span | None
    predicted: Span | None


@dataclass(frozen=True)
class MarkedWord:
    """A word with the gold and the predicted span that it lies in, None if it lies in none.

    `room` is by how many characters the name of a span that begins here is longer than the span's other words.
    """

    word: str
    gold: Span | None
    predicted: Span | None
    room: int


@dataclass(frozen=True)
class ErrorExample:
    """A sentence, its errors of one kind, and its words with the spans they lie in."""

    sentence: SentencePrediction
    errors: list[Error]
    words: list[MarkedWord]


def classify_errors(sentence: SentencePrediction) -> list[Error]:
    """One error for each wrong predicted span of a sentence, and one for each gold span that no prediction touches.

    So spurious spans and spans with a wrong type or wrong borders together are the false positives.
    """
    gold, predicted = sentence.gold, sentence.predicted
    errors = []
    for span in predicted:
        near = max((g for g in gold if shared_words(g, span)), key=lambda g: shared_words(g, span), default=None)
        if near is None:
            errors.append(Error("spurious", None, span))
        elif near != span:
            errors.append(Error("wrong type" if near[:2] == span[:2] else "wrong borders", near, span))
    return errors + [Error("missed", g, None) for g in gold if not any(shared_words(g, span) for span in predicted)]


def shared_words(a: Span, b: Span) -> int:
    """The number of words that both spans share."""
    return max(0, min(a.end, b.end) - max(a.start, b.start))


def pick_examples(sentences: Sequence[SentencePrediction]) -> dict[str, list[ErrorExample]]:
    """For each kind of error, some sentences with such errors, spread over the split, no sentence twice."""
    wrong = [(sentence, errors) for sentence in sentences if (errors := classify_errors(sentence))]
    shown: set[int] = set()
    examples: dict[str, list[ErrorExample]] = {}
    for kind in ERROR_KINDS:
        candidates = [n for n, (_, errors) in enumerate(wrong) if n not in shown and kind in {e.kind for e in errors}]
        number = min(EXAMPLES, len(candidates))
        picked = [candidates[place * len(candidates) // number] for place in range(number)]
        shown.update(picked)
        examples[kind] = [
            ErrorExample(sentence, [e for e in errors if e.kind == kind], mark_words(sentence))
            for sentence, errors in (wrong[n] for n in picked)
        ]
    return examples


def mark_words(sentence: SentencePrediction) -> list[MarkedWord]:
    """Each word of a sentence, marked."""
    words = sentence.words
    gold, predicted = (
        {n: s for s in spans for n in range(s.start, s.end)} for spans in (sentence.gold, sentence.predicted)
    )
    room = dict.fromkeys(range(len(words)), 0)
    for span in (*sentence.gold, *sentence.predicted):
        others = sum(1 + len(word) for word in words[span.start + 1 : span.end])
        room[span.start] = max(room[span.start], len(span.type) - others)
    return [MarkedWord(word, gold.get(n), predicted.get(n), room[n]) for n, word in enumerate(words)]
