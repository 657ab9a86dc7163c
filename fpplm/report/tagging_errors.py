"""The tagger's errors, by kind, with examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fpplm_core.tagging.spans import Span

ERROR_KINDS = ("wrong type", "wrong borders", "spurious", "missed")
EXAMPLES = 7  # sentences of each kind of error


class Error(NamedTuple):
    """`kind` is one of ERROR_KINDS; a spurious span has no gold one, a missed one no predicted one."""

    kind: str
    gold: Span | None
    predicted: Span | None


def classify_errors(row: Mapping[str, Any]) -> list[Error]:
    """One error for each wrong predicted span of a sentence, and one for each gold span that no prediction touches.

    So spurious spans and those of wrong type or borders are together the false positives.
    """
    gold, predicted = ([Span(*span) for span in row[key]] for key in ("gold", "predicted"))
    errors = []
    for span in predicted:
        near = max((g for g in gold if shared(g, span)), key=lambda g: shared(g, span), default=None)
        if near is None:
            errors.append(Error("spurious", None, span))
        elif near != span:
            errors.append(Error("wrong type" if near[:2] == span[:2] else "wrong borders", near, span))
    return errors + [Error("missed", g, None) for g in gold if not any(shared(g, span) for span in predicted)]


def shared(one: Span, other: Span) -> int:
    """The number of words in both."""
    return max(0, min(one.end, other.end) - max(one.start, other.start))


def pick_examples(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """By kind of error some sentences with their `errors` of that kind, spread over all rows, no sentence twice."""
    wrong = [(row, errors) for row in rows if (errors := classify_errors(row))]
    shown: set[int] = set()
    examples: dict[str, list[dict[str, Any]]] = {}
    for kind in ERROR_KINDS:
        having = [n for n, (_, errors) in enumerate(wrong) if n not in shown and kind in {e.kind for e in errors}]
        number = min(EXAMPLES, len(having))
        picked = [having[place * len(having) // number] for place in range(number)]
        shown.update(picked)
        sentences = [(wrong[n][0], [e for e in wrong[n][1] if e.kind == kind]) for n in picked]
        examples[kind] = [{**row, "errors": errors, "cells": mark_words(row)} for row, errors in sentences]
    return examples


def mark_words(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each word of a sentence with the gold and the predicted span that it lies in, None where in none.

    `room` is by how many characters the name of a span that begins here is longer than the span's other words.
    """
    cells = [{"word": word, "gold": None, "predicted": None, "room": 0} for word in row["words"]]
    for key in ("gold", "predicted"):
        for span in (Span(*values) for values in row[key]):
            first, *others = cells[span.start : span.end]
            first["room"] = max(first["room"], len(span.type) - sum(1 + len(cell["word"]) for cell in others))
            for cell in (first, *others):
                cell[key] = span
    return cells
