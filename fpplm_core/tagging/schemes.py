"""Tag schemes: which tag may follow which.

A scheme is a set of prefixes, each with one of four roles, and two rules: what may begin or continue an entity, and
how an entity may end. Validation, spans, repair and the mask of the Viterbi decoder follow from these.

IOB1   I continues or begins, B begins only right after an entity of its type:   I-PER I-PER B-PER O
IOB2   B begins, I continues:                                 B-PER I-PER O    B-PER O
IO     I alone; neighbours of one type are one entity:        I-PER I-PER O    I-PER O
BIOES  an entity of one word is S, a longer one ends in E:    B-PER E-PER O    S-PER O
BILOU  the same with L and U                                  B-PER L-PER O    U-PER O
BMES   the same with M inside                                 B-PER E-PER O    S-PER O
BMEWO  the same with M and W                                  B-PER E-PER O    W-PER O
BIOE   the article's scheme without S (one word is B alone):  B-PER E-PER O    B-PER O
TAGS   one tag per word and no entities, such as parts of speech: each word is read as an entity of that type
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpplm_core.errors import DataError

OUTSIDE = "O"
INNER_SCHEME = "BIOES"
# The prefixes of each scheme in the order B, I, E, S of their roles.
SCHEMES: dict[str, str] = {
    "IOB1": "BI",
    "IOB2": "BI",
    "IO": "I",
    "BIOES": "BIES",
    "BILOU": "BILU",
    "BMES": "BMES",
    "BMEWO": "BMEW",
    "BIOE": "BIE",
    "TAGS": "S",
}
ROLES = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
LETTERS = {scheme: {ROLES[letter]: letter for letter in letters} for scheme, letters in SCHEMES.items()}
DETECTED = ("IOB2", "IO", "IOB1", "BIOE", "BIOES", "BMES", "BILOU", "BMEWO")
EXAMPLES = 3  # most frequent tags that an error names
SHOWN = 20  # characters of each
MISSED, SPURIOUS = "(missed)", "(spurious)"  # stand for no entity where others stand for a type (confusions)
LONGEST_TYPE = 100  # characters
LOWER_CASE = re.compile(r"[biesolumw](?:-[^-\s]+)+")  # a tag of a scheme in lower case, such as b-per
TAG_AS_TYPE = re.compile(r"I-[A-Z]\S*|B-[A-Z]{3,}")  # not B-cell
UNTAGGED = {"_", "-", "0", "o", "none", "null", "other", "outside"}  # in lower case: what files write in place of O
JOINERS = str.maketrans("", "", "\u200c\u200d")  # invisible, but Persian words and joined emoji need them


class TagError(NamedTuple):
    """Why the tag of a word (0-based) of a sentence is wrong: malformed by itself, or as a transition."""

    word: int
    reason: str
    transition: bool = False


def split_tag(tag: str) -> tuple[str, str]:
    """`B-creative-work` as ("B", "creative-work"), `O` as ("O", "").

    Raises ValueError if the tag is neither `O` nor a prefix (one letter but O), a hyphen and a type.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, hyphen, kind = tag.partition("-")
    if len(prefix) != 1 or prefix == OUTSIDE or not hyphen or not kind or kind != kind.strip():
        raise ValueError(f"{tag!r} is not O or PREFIX-TYPE")
    return prefix, kind


@lru_cache(1_000)
def type_fault(kind: str, scheme: str) -> str:
    """Why this may not be the name of a type; "" if it may. Reports, tables and terminals show names as they are."""
    if kind in (MISSED, SPURIOUS) or (kind == OUTSIDE and scheme != "TAGS"):
        return f"{kind} stands for no entity, so it cannot be a type"
    if scheme != "TAGS" and TAG_AS_TYPE.fullmatch(kind):
        return f"{kind} is a tag of a word, not a type"
    shown = kind.translate(JOINERS)
    if shown.strip() and shown.isprintable() and len(kind) <= LONGEST_TYPE:
        return ""
    wrong = f"{len(kind)} characters" if len(kind) > LONGEST_TYPE else "an invisible or control character"
    return f"the type has {wrong}; allowed are 1 to {LONGEST_TYPE} visible characters and blanks"


class Detected(NamedTuple):
    """A scheme and its evidence: counts, as a sentence."""

    scheme: str
    evidence: str


# How often a tag follows another one; None is the edge of a sentence.
TagBigrams = Mapping[tuple[str | None, str | None], int]


def tag_bigrams(sentences: Iterable[Sequence[str]]) -> Counter[tuple[str | None, str | None]]:
    """The bigrams of all sentences, none of which is empty."""
    counts: Counter[tuple[str | None, str | None]] = Counter()
    for tags in sentences:
        counts.update(zip([None, *tags], [*tags, None], strict=True))
    return counts


def detect_scheme(pairs: TagBigrams) -> Detected:
    """The scheme that the fewest tags violate, of these the one that lacks the fewest prefixes, in DETECTED's order.

    It is TAGS if no tag is O or has a prefix of a scheme. Raises DataError if fewer tags have such a prefix than are
    neither O nor have one, and instead of TAGS if the tags look like those of entities, or like numbers.
    """
    prefixes: Counter[str] = Counter()
    foreign: Counter[str] = Counter()  # tags that no scheme has
    for (_, tag), number in pairs.items():
        if tag is not None:
            prefix = _prefix(tag)
            if prefix in (OUTSIDE, *ROLES):
                prefixes[prefix] += number
            else:
                foreign[tag] += number
    if foreign and not prefixes:
        if reason := _not_tags(foreign):
            do = "write entities as B-PER, I-PER and O, or name the tag column (data.tag_column)"
            do += "; if each tag is a label of its word by itself, set data.scheme: TAGS"
            raise DataError("the tags follow no known scheme", where="data.scheme", got=reason, do=do)
        return Detected("TAGS", f"{len(foreign)} different tags, none of them O or PREFIX-TYPE")
    outside = prefixes.pop(OUTSIDE, 0)
    counts = ", ".join(f"{prefixes[prefix]} {prefix}-" for prefix in sorted(prefixes)) or f"no entity in {outside} tags"
    if foreign.total() > prefixes.total():
        examples = ", ".join(repr(tag[:SHOWN]) for tag, _ in foreign.most_common(EXAMPLES))
        got = f"{counts}, and {foreign.total()} tags such as {examples}"
        do = f"convert them, or name one (data.scheme: {', '.join(SCHEMES)}) to see each wrong line in the data check"
        raise DataError("the tags follow no known scheme", where="data.scheme", got=got, do=do)
    broken = {scheme: count_violations(pairs, scheme) for scheme in DETECTED}
    strange = {name: sum(prefixes[p] for p in prefixes if p not in SCHEMES[name]) for name in DETECTED}
    scheme = min(broken, key=lambda name: (broken[name], strange[name]))
    others = ", ".join(f"{name} {number}" for name, number in broken.items() if name != scheme)
    return Detected(scheme, f"{counts}; {broken[scheme]} violate it (other schemes: {others})" if prefixes else counts)


def _not_tags(counts: Counter[str]) -> str:
    """Why these tags without O and prefixes are probably no labels of single words; "" if they may be."""
    most = max(counts.values())
    for tag, number in counts.items():
        if LOWER_CASE.fullmatch(tag):
            return f"{tag[:SHOWN]!r}, a tag in lower case"
        if number == most and len(counts) > 1 and tag.lower() in UNTAGGED:
            return f"{number} tags {tag!r}, which looks like O"
    if all(tag.isdecimal() for tag in counts):
        return f"only numbers, such as {', '.join(map(repr, list(counts)[:EXAMPLES]))}"
    return ""


def _prefix(tag: str) -> str:
    """The prefix of a tag, "" if it is malformed."""
    try:
        return split_tag(tag)[0]
    except ValueError:
        return ""


def count_violations(pairs: TagBigrams, scheme: str) -> int:
    """How many tags, and ends of sentences, are malformed, or illegal in this scheme after the tag before them."""
    return sum(number for pair, number in pairs.items() if not _fits(*pair, scheme))


def _fits(before: str | None, after: str | None, scheme: str) -> bool:
    if after is not None and not _known(after, scheme):
        return False
    return legal(before if before is None or _known(before, scheme) else None, after, scheme)


def _known(tag: str, scheme: str) -> bool:
    """Whether a tag is O, or well-formed with a prefix of the scheme."""
    return _prefix(tag) in (OUTSIDE, *SCHEMES[scheme])


@lru_cache(10_000)
def _role(tag: str | None) -> tuple[str, str]:
    """The role and type of a tag; None counts as O. Raises ValueError if it is malformed."""
    if tag is None:
        return OUTSIDE, ""
    prefix, kind = split_tag(tag)
    return ROLES.get(prefix, prefix), kind


def _must_go_on(role: str, scheme: str) -> bool:
    """Whether the entity of this tag needs another word."""
    if scheme == "BIOE":
        return role == "I"
    return role in "BI" and "E" in LETTERS[scheme]


def legal(previous: str | None, current: str | None, scheme: str) -> bool:
    """Whether `current` may follow `previous`; None is the edge of the sentence. Both tags must be well-formed."""
    before, kind_before = _role(previous)
    if current is None:
        return not _must_go_on(before, scheme)
    after, kind_after = _role(current)
    goes_on = before in ("B", "I") and kind_before == kind_after
    if scheme == "IO":
        return True
    if scheme == "IOB1":
        return after != "B" or goes_on
    if after in ("I", "E"):
        return goes_on
    return not _must_go_on(before, scheme)


def tag_errors(tags: Sequence[str], scheme: str) -> list[TagError]:
    """Every malformed tag, unknown prefix and illegal transition of one sentence, in order."""
    found = []
    previous: str | None = None
    for index, tag in enumerate(tags):
        try:
            prefix, _ = split_tag(tag)
        except ValueError as error:
            found.append(TagError(index, f"malformed tag: {error}"))
            previous = None
            continue
        if prefix != OUTSIDE and prefix not in SCHEMES[scheme]:
            found.append(TagError(index, f"unknown prefix {prefix!r} in {tag!r}: {scheme} has {_prefixes(scheme)}"))
            previous = None
            continue
        if not legal(previous, tag, scheme):
            before = tags[index - 1] if index else "the sentence start"
            found.append(TagError(index, f"{tag} cannot follow {before} in {scheme}", True))
        previous = tag
    if previous is not None and not legal(previous, None, scheme):
        found.append(TagError(len(tags) - 1, f"{previous} cannot end a sentence in {scheme}", True))
    return found


def _prefixes(scheme: str) -> str:
    return ", ".join(sorted(SCHEMES[scheme] + OUTSIDE))


def label_list(types: Iterable[str], scheme: str = INNER_SCHEME) -> list[str]:
    """All tags of these types: O first, then by type, then in the order B, I, E, S."""
    return [OUTSIDE] + [f"{prefix}-{kind}" for kind in sorted(set(types)) for prefix in SCHEMES[scheme]]


def transitions(labels: Sequence[str]) -> NDArray[np.bool_]:
    """Legality of pairs of a tagger's labels. *Shape:* (K+1, K+1); row K is the sentence start, column K its end."""
    ends: list[str | None] = [*labels, None]
    return np.array([[legal(before, after, INNER_SCHEME) for after in ends] for before in ends], dtype=np.bool_)
