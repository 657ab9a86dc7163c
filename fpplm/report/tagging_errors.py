"""The tagger's errors by kind, and the table from which the page's error browser draws them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jinja2.utils import htmlsafe_json_dumps

from fpplm_core.escaping import printable
from fpplm_core.evaluation.predictions import SentencePrediction
from fpplm_core.tagging.spans import Span

ERROR_KINDS = ("wrong type", "wrong boundaries", "spurious", "missed")
BROWSED = 2_200_000  # bytes of the table: a page should stay under 3 MB


class Error(NamedTuple):
    """`kind` is one of ERROR_KINDS; a spurious span has no gold one, a missed one no predicted one."""

    kind: str
    gold: Span | None
    predicted: Span | None


@dataclass(frozen=True)
class ErrorTable:
    """The sentences with errors as the browser reads them, and how many there are of each kind.

    errors.js documents `data`, which has `shown` of the `sentences` with errors, evenly spread over the split.
    """

    counts: Counter[str]
    sentences: int
    shown: int
    data: dict[str, Any]


def classify_errors(sentence: SentencePrediction) -> list[Error]:
    """One error for each wrong predicted span of a sentence, and one for each gold span that no prediction touches.

    So spurious spans and spans with a wrong type or wrong boundaries together are the false positives.
    """
    gold, predicted = sentence.gold, sentence.predicted
    errors = []
    for span in predicted:
        near = max((g for g in gold if shared_words(g, span)), key=lambda g: shared_words(g, span), default=None)
        if near is None:
            errors.append(Error("spurious", None, span))
        elif near != span:
            errors.append(Error("wrong type" if near[:2] == span[:2] else "wrong boundaries", near, span))
    return errors + [Error("missed", g, None) for g in gold if not any(shared_words(g, span) for span in predicted)]


def shared_words(a: Span, b: Span) -> int:
    """The number of words that both spans share."""
    return max(0, min(a.end, b.end) - max(a.start, b.start))


def all_errors(sentences: Sequence[SentencePrediction]) -> Iterator[tuple[SentencePrediction, Error]]:
    """Each error with its sentence, in order."""
    return ((sentence, error) for sentence in sentences for error in classify_errors(sentence))


def error_table(sentences: Sequence[SentencePrediction], room: int = BROWSED) -> ErrorTable:
    """The table of a split; if it takes more than `room` bytes, of every second, third … sentence with errors."""
    wrong = [(sentence, errors) for sentence in sentences if (errors := classify_errors(sentence))]
    step, data = 1, _data(wrong)
    while (size := len(htmlsafe_json_dumps(data, ensure_ascii=False).encode())) > room and step < len(wrong):
        step = -(-step * size // room)  # higher each time: those that remain may be the long ones
        data = _data(wrong[::step])
    counts = Counter(error.kind for _, errors in wrong for error in errors)
    return ErrorTable(counts, len(wrong), len(data["rows"]), data)


def _data(wrong: Sequence[tuple[SentencePrediction, list[Error]]]) -> dict[str, Any]:
    types = _numbers(span.type for sentence, _ in wrong for span in (*sentence.gold, *sentence.predicted))
    files = _numbers(sentence.file for sentence, _ in wrong)
    return {
        "kinds": ERROR_KINDS,
        "types": [printable(kind) for kind in types],
        "files": [printable(file) for file in files],
        "rows": [_row(sentence, errors, types, files) for sentence, errors in wrong],
    }


def _numbers(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(sorted(set(names)))}


def _row(
    sentence: SentencePrediction, errors: Sequence[Error], types: dict[str, int], files: dict[str, int]
) -> list[Any]:
    """[file, line, document, words, gold spans, predicted spans, errors] with numbers instead of names.

    A span is [start, end, type], a predicted one with its score; an error is [kind, gold span, predicted span, seen],
    -1 for a span that it does not have; `seen` is 1 if train has the mention, the gold one where there is one.
    """
    gold, predicted = sentence.gold, sentence.predicted
    scores: Sequence[float | None] = sentence.scores or [None] * len(predicted)

    def seen(error: Error) -> int | None:
        spans, known = (gold, sentence.gold_seen) if error.gold else (predicted, sentence.predicted_seen)
        span = error.gold or error.predicted
        return None if known is None or span is None else int(known[spans.index(span)])

    return [
        files[sentence.file],
        sentence.line,
        sentence.document,
        [printable(word) for word in sentence.words],
        [[span.start, span.end, types[span.type]] for span in gold],
        [[span.start, span.end, types[span.type], score] for span, score in zip(predicted, scores, strict=True)],
        [
            [
                ERROR_KINDS.index(error.kind),
                gold.index(error.gold) if error.gold else -1,
                predicted.index(error.predicted) if error.predicted else -1,
                seen(error),
            ]
            for error in errors
        ],
    ]
