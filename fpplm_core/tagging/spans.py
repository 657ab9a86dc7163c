"""Spans from tags and back, and the repair of illegal transitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fpplm_core.tagging.schemes import LETTERS, OUTSIDE, _role, tag_errors


class Span(NamedTuple):
    """An entity over the words `start` (included) to `end` (excluded)."""

    start: int
    end: int
    type: str


def spans_from_tags(tags: Sequence[str]) -> list[Span]:
    """The entities of any sequence, read as the conlleval script does: an I or E without a beginning begins one.

    Malformed tags count as O. A sequence without `tag_errors` reads the same in every scheme.
    """
    found: list[Span] = []
    open_type = ""
    for index, tag in enumerate(tags):
        try:
            role, kind = _role(tag)
        except ValueError:
            role, kind = OUTSIDE, ""
        if role in "IE" and kind == open_type:
            found[-1] = found[-1]._replace(end=index + 1)
        elif role != OUTSIDE:
            found.append(Span(index, index + 1, kind))
        open_type = kind if role in "BI" else ""
    return found


def repair_tags(tags: Sequence[str], scheme: str, how: str) -> list[str]:
    """The tags without illegal transitions: as conlleval reads them, or without the entities that have one (discard).

    If a tag is malformed or has a prefix that the scheme lacks, all tags stay as they are: nothing is guessed. An
    entity has an illegal transition if its tags are not those that the scheme gives it.
    """
    bad = tag_errors(tags, scheme)
    if not bad or any(not fault.transition for fault in bad):
        return list(tags)
    entities = spans_from_tags(tags)
    repaired = tags_from_spans(entities, len(tags), scheme)
    if how == "conlleval":
        return repaired
    kept = [span for span in entities if repaired[span.start : span.end] == list(tags[span.start : span.end])]
    return tags_from_spans(kept, len(tags), scheme)


def tags_from_spans(entities: Iterable[Span], length: int, scheme: str) -> list[str]:
    """The tags of `length` words with these non-overlapping entities, from left to right.

    Raises ValueError if the scheme cannot express them: IO has no border between neighbours of one type, TAGS no entity
    of several words.
    """
    tags = [OUTSIDE] * length
    letters = LETTERS[scheme]
    last = Span(-1, -1, "")
    for span in entities:
        start, end, kind = span
        adjoins = last.end == start and last.type == kind
        if (scheme == "IO" and adjoins) or (scheme == "TAGS" and end - start > 1):
            raise ValueError(f"{scheme} cannot express {kind} over the words {start + 1} to {end}")
        begin = "I" if scheme == "IO" or (scheme == "IOB1" and not adjoins) else "B"
        roles = [begin] + ["I"] * (end - start - 1)
        if "E" in letters and end - start > 1:
            roles[-1] = "E"
        elif "S" in letters:
            roles = ["S"]
        tags[start:end] = [f"{letters[role]}-{kind}" for role in roles]
        last = span
    return tags


def types_of(sentences: Iterable[Iterable[str]]) -> list[str]:
    """The entity types of these tags, sorted."""
    return sorted({tag[2:] for tags in sentences for tag in tags if tag != OUTSIDE})


def types_of_labels(labels: Sequence[str]) -> tuple[list[str], list[int]]:
    """The entity types of a tagger's labels, sorted, and each label's number among them counted from 1; 0 for O."""
    types = types_of([labels])
    return types, [0 if label == OUTSIDE else types.index(label[2:]) + 1 for label in labels]
