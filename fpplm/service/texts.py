"""The content of a request: texts, or sentences of words, read from untrusted JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from fpplm.service.limits import Limits, Refused
from fpplm_core.errors import shown
from fpplm_core.escaping import printable
from fpplm_core.serving.entities import Entity, SegmentedText, entities_of
from fpplm_core.tagging.spans import Span

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Texts:
    """Texts, or sentences of words; `documents` are numbers as `Predictor.predict_many` takes them."""

    texts: Sequence[str] | None
    words: Sequence[Sequence[str]] | None
    documents: Sequence[int | None]

    @property
    def characters(self) -> int:
        """The length of every text or word, plus one for each text, sentence and word: none is free."""
        words = (word for sentence in self.words or () for word in sentence)
        return len(self.documents) + sum(map(len, self.texts or ())) + sum(len(word) + 1 for word in words)

    def segmented(self, segment: Callable[[str], SegmentedText]) -> list[SegmentedText]:
        """Texts with their words. If words were given, their offsets are their numbers."""
        if self.texts is not None:
            found = [segment(text) for text in self.texts]
        else:
            found = [SegmentedText("", [(w, i, i + 1) for i, w in enumerate(s)]) for s in self.words or ()]
        return [text._replace(document=number) for text, number in zip(found, self.documents, strict=True)]

    def entities(self, text: SegmentedText, spans: Iterable[tuple[Span, float]]) -> list[Entity]:
        """Entities over the characters of a text, or over the words of a sentence of words."""
        if self.texts is not None:
            return entities_of(text, spans)
        return [
            Entity(" ".join(w for w, _, _ in text.words[s.start : s.end]), s.type, s.start, s.end, score)
            for s, score in spans
        ]


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises Refused."""
    try:
        value = json.loads(body)
    except RecursionError:
        raise Refused(422, "the JSON is nested too deeply") from None
    except ValueError as error:  # also for bytes that are not UTF-8; the message of JSONDecodeError repeats no text
        said = error.msg if isinstance(error, json.JSONDecodeError) else "not UTF-8, or a number that is too long"
        raise Refused(422, f"the body is not JSON: {said}") from None
    if not isinstance(value, dict):
        raise Refused(422, f"the body must be a JSON object, got {type(value).__name__}")
    return value


def texts_of(values: dict[str, Any], limits: Limits) -> Texts:
    """Reads {"texts": […]} or {"words": [[…], …]}, and "documents". Raises Refused, naming the place."""
    if values.keys() - {"texts", "words", "documents"} or ("texts" in values) == ("words" in values):
        got = ", ".join(printable(shown(key)) for key in islice(values, 5)) or "nothing"
        raise Refused(422, f"the body must have `texts` or `words`, and may have `documents`; got {got}")
    key = "texts" if "texts" in values else "words"
    rows = rows_of(values[key], key, str if key == "texts" else list, limits)
    numbers = values.get("documents", [None] * len(rows))
    if not isinstance(numbers, list) or len(numbers) != len(rows) or {type(n) for n in numbers} - {int, type(None)}:
        raise Refused(422, f"`documents` must have an integer or null for each of `{key}`")
    return Texts(rows if key == "texts" else None, rows if key == "words" else None, numbers)


def rows_of(rows: Any, place: str, kind: type[str] | type[list[str]], limits: Limits) -> list[Any]:
    """Returns the list of texts, or of lists of words, found at `place` in the body. Raises Refused."""
    if not isinstance(rows, list):
        raise Refused(422, f"`{place}` must be a list, got {type(rows).__name__}")
    if len(rows) > limits.texts:
        raise Refused(413, f"`{place}` may have at most {limits.texts:,} elements, got {len(rows):,}")
    for number, row in enumerate(rows):
        if not isinstance(row, kind) or (kind is list and not all(isinstance(word, str) and word for word in row)):
            wanted = "a string" if kind is str else "a list of strings that are not empty"
            raise Refused(422, f"{place}[{number}] must be {wanted}, got {type(row).__name__}")
        _check(row, f"{place}[{number}]", limits)
    return rows


def _check(row: str | list[str], place: str, limits: Limits) -> None:
    length = len(row) if isinstance(row, str) else sum(len(word) + 1 for word in row)
    if length > limits.characters:
        raise Refused(413, f"{place} has {length:,} characters; at most {limits.characters:,} are accepted")
    if any(_SURROGATE.search(part) for part in ([row] if isinstance(row, str) else row)):
        raise Refused(422, f"{place} has half a surrogate pair")
