"""Tag schemes: which tag may follow which, spans from tags and back.

A scheme is a set of prefixes and two rules: what may open or continue an entity, and what an entity that has
begun still needs. From these two everything else follows: validation, spans, and the Viterbi decoder's mask.

IOB2   B begins, I continues:                                 B-PER I-PER O    B-PER O
BIOES  an entity of one word is S, a longer one ends in E:    B-PER E-PER O    S-PER O
BIOE   the article's scheme without S (one word is B alone):  B-PER E-PER O    B-PER O
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpplm_core.errors import DataError

OUTSIDE = "O"
INNER_SCHEME = "BIOES"
SCHEMES: dict[str, frozenset[str]] = {
    "IOB2": frozenset("BI"),
    "BIOES": frozenset("BIES"),
    "BIOE": frozenset("BIE"),
}


class Span(NamedTuple):
    """An entity over the words `start` (included) to `end` (excluded)."""

    start: int
    end: int
    type: str


class Fault(NamedTuple):
    """Why the tag of a word (0-based) of a sentence is wrong."""

    word: int
    reason: str


def split_tag(tag: str) -> tuple[str, str]:
    """`B-creative-work` as ("B", "creative-work"), `O` as ("O", "").

    Raises ValueError where the tag is neither `O` nor a one-letter prefix, a hyphen and a type.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, hyphen, kind = tag.partition("-")
    if len(prefix) != 1 or not hyphen or not kind or kind != kind.strip():
        raise ValueError(f"{tag!r} is not O or PREFIX-TYPE")
    return prefix, kind


def detect_scheme(tags: Iterable[str]) -> str:
    """The scheme whose prefixes explain all `tags`; malformed tags do not count.

    Raises DataError where no scheme has these prefixes, or none has only I (IOB1 and IO begin entities with I).
    """
    prefixes = set()
    for tag in set(tags):
        try:
            prefixes.add(split_tag(tag)[0])
        except ValueError:
            continue
    prefixes.discard(OUTSIDE)
    if "S" in prefixes:
        scheme = "BIOES"
    elif "E" in prefixes:
        scheme = "BIOE"
    else:
        scheme = "IOB2"
    unknown = prefixes - SCHEMES[scheme]
    if unknown or prefixes == {"I"}:
        raise DataError(
            "the tag scheme is not one of " + ", ".join(SCHEMES),
            where="data.scheme",
            got=f"the prefixes {', '.join(sorted(prefixes))}",
            do="convert the tags, or name the scheme in params.yaml to see each bad line in the data check",
        )
    return scheme


def _open(prefix: str) -> bool:
    """True where the entity of this tag may go on in the next word."""
    return prefix in "BI"


def _must_go_on(prefix: str, scheme: str) -> bool:
    """True where the entity of this tag is unfinished without another word."""
    return (scheme == "BIOES" and prefix in "BI") or (scheme == "BIOE" and prefix == "I")


def legal(previous: str | None, current: str | None, scheme: str) -> bool:
    """Whether `current` may follow `previous`; None stands for the sentence's edge. Both tags are well-formed."""
    before, kind_before = split_tag(previous) if previous is not None else (OUTSIDE, "")
    if current is None:
        return not _must_go_on(before, scheme)
    after, kind_after = split_tag(current)
    if after in "IE":
        return _open(before) and kind_before == kind_after
    return not _must_go_on(before, scheme)


def faults(tags: Sequence[str], scheme: str) -> list[Fault]:
    """Every malformed tag, unknown prefix and illegal transition of one sentence, in order."""
    found = []
    previous: str | None = None
    for index, tag in enumerate(tags):
        try:
            prefix, _ = split_tag(tag)
        except ValueError as error:
            found.append(Fault(index, f"malformed tag: {error}"))
            previous = None
            continue
        if prefix != OUTSIDE and prefix not in SCHEMES[scheme]:
            found.append(Fault(index, f"unknown prefix {prefix!r} in {tag!r}: {scheme} has {_prefixes(scheme)}"))
            previous = None
            continue
        if not legal(previous, tag, scheme):
            found.append(Fault(index, f"{tag} cannot follow {previous or 'the sentence start'} in {scheme}"))
        previous = tag
    if previous is not None and not legal(previous, None, scheme):
        found.append(Fault(len(tags) - 1, f"{previous} cannot end a sentence in {scheme}"))
    return found


def _prefixes(scheme: str) -> str:
    return ", ".join(sorted(SCHEMES[scheme] | {OUTSIDE}))


def spans(tags: Sequence[str], scheme: str) -> list[Span]:
    """The entities of a sentence, left to right.

    Raises ValueError at the first fault: a sequence that breaks its scheme has no agreed reading.
    """
    bad = faults(tags, scheme)
    if bad:
        raise ValueError(f"word {bad[0].word + 1}: {bad[0].reason}")
    return lenient_spans(tags)


def lenient_spans(tags: Sequence[str]) -> list[Span]:
    """The entities of any sequence, read as the conlleval script does: an I or E without a beginning begins one.

    Malformed tags count as O. Equal to `spans` on every legal sequence of every scheme.
    """
    found: list[Span] = []
    open_type = ""
    for index, tag in enumerate(tags):
        try:
            prefix, kind = split_tag(tag)
        except ValueError:
            prefix, kind = OUTSIDE, ""
        if prefix in "IE" and kind == open_type:
            found[-1] = found[-1]._replace(end=index + 1)
        elif prefix != OUTSIDE:
            found.append(Span(index, index + 1, kind))
        open_type = kind if _open(prefix) else ""
    return found


def to_tags(entities: Iterable[Span], length: int, scheme: str) -> list[str]:
    """The tags of `length` words with these non-overlapping entities."""
    tags = [OUTSIDE] * length
    for start, end, kind in entities:
        prefixes = ["B"] + ["I"] * (end - start - 1)
        if scheme in ("BIOES", "BIOE") and end - start > 1:
            prefixes[-1] = "E"
        elif scheme == "BIOES":
            prefixes = ["S"]
        tags[start:end] = [f"{prefix}-{kind}" for prefix in prefixes]
    return tags


def label_list(types: Iterable[str], scheme: str = INNER_SCHEME) -> list[str]:
    """All tags of these types: O first, then by type, then in the order B, I, E, S."""
    ordered = [prefix for prefix in "BIES" if prefix in SCHEMES[scheme]]
    return [OUTSIDE] + [f"{prefix}-{kind}" for kind in sorted(set(types)) for prefix in ordered]


def transitions(labels: Sequence[str], scheme: str = INNER_SCHEME) -> NDArray[np.bool_]:
    """Legality of label pairs. *Shape:* (K+1, K+1); row K is the sentence start, column K its end."""
    ends: list[str | None] = [*labels, None]
    return np.array([[legal(before, after, scheme) for after in ends] for before in ends], dtype=np.bool_)
