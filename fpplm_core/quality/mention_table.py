"""The table with one row a distinct mention, case kept: whether all its readings agree.

Two passes. The first keeps of every mention a hash of its words, its type and its place. The second looks for the text
of each distinct one, and for words without a tag that have the hash of a mention.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fpplm_core.quality.checks import check_names
from fpplm_core.quality.columns import (
    Corpus,
    RollingHashes,
    batch_entities,
    batches,
    distinct,
    ends,
    finding_column,
    hashes,
    matching,
    place_of,
    tags_in_context,
)
from fpplm_core.tagging.schemes import OUTSIDE

CONFLICT_SHARE = 0.8  # of a mention's readings, from which on the others are doubtful
PLACES = 20  # of a mention without a tag
LONGEST = 6  # words of a mention that is looked for where it is not tagged
_COLUMNS = ["words", "tags", "file", "lines"]
_READING = ["text", "kind", "number", "file", "line"]
_WRITTEN = r"[\p{Lu}\p{Lt}\p{Nd}]"  # a capital letter or a digit: a word without is often no name


class _Untagged(NamedTuple):
    """Of a mention, the first PLACES places where it stands without a tag, and its text there."""

    places: list[str]
    text: str


def mentions(corpus: Corpus, scheme: str, conflict_share: float = CONFLICT_SHARE) -> pd.DataFrame:
    """One row a distinct mention of all splits, in the order in which they first stand there; none in the scheme TAGS.

    The index has its text, and how often it is tagged.

    A reading (a type, or no tag) is in doubt where another has at least `conflict_share` of all, in ]0.5, 1]: of a
    mention that is truly ambiguous none has so much.
    """
    if scheme == "TAGS":
        return pd.DataFrame({}, _index([], []), check_names("mentions"), dtype=object)
    kinds, files = list[str](), list[str]()
    every = pd.concat([_summary(batch, kinds, files) for _, batch in batches(corpus, _COLUMNS)], ignore_index=True)
    readings = every.groupby(["text", "kind"], sort=False).agg({"words": "size", "file": "first", "line": "first"})
    readings = readings.reset_index().rename(columns={"words": "number"})
    of_mention = readings.groupby("text", sort=False)["number"]
    most, total = of_mention.transform("max"), of_mention.transform("sum")
    doubted = readings[(most < total) & (most >= conflict_share * total)]
    doubted = doubted.sort_values("number", ascending=False, kind="stable")
    table = every.drop_duplicates("text", ignore_index=True)
    row_of = {text: row for row, text in enumerate(table["text"].tolist())}
    tagged = table["text"].map(readings.groupby("text")["number"].sum()).to_numpy()
    sought = table[(tagged >= 2) & table["written"] & (table["words"] <= LONGEST)]
    texts, untagged, times = _second_look(corpus, sought)

    parts_of: dict[int, list[str]] = {}
    conflicts = {}
    for text, kind, number, file, line in zip(*(doubted[name].tolist() for name in _READING), strict=True):
        place = f"{files[file]}:{line}"
        parts = parts_of.setdefault(text, [])
        parts.append(f"{kinds[kind]} {number} times ({place})")
        conflicts[row_of[text]] = f"{place}: {texts[text]!r} is {', '.join(parts)}"  # the last is the rarest
    missing = {}
    for text, (places, shown) in untagged.items():
        row = row_of[text]
        if tagged[row] >= conflict_share * (tagged[row] + times[text]):
            where = f"{files[table['file'][row]]}:{table['line'][row]}"
            others = f", also {', '.join(places[1:])}" if places[1:] else ""
            said = f"{shown!r} is untagged {times[text]} times{others}, and tagged {tagged[row]} times ({where})"
            missing[row] = f"{places[0]}: {said}"
    found = {"conflicting_mention": conflicts, "untagged_mention": missing}
    columns = {name: finding_column(len(table), rows, rows.__getitem__) for name, rows in found.items()}
    return pd.DataFrame(columns, _index([texts[text] for text in row_of], tagged.tolist()), dtype=object)


def _index(texts: list[str], counts: list[int]) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([texts, counts], names=["mention", "count"])


def _summary(batch: pa.RecordBatch, kinds: list[str], files: list[str]) -> pd.DataFrame:
    """What is kept of every mention; the lists are filled with the names that the numbers stand for."""
    words, word = distinct(batch["words"].flatten())
    own = hashes(words)[word]
    spans = batch_entities(*tags_in_context(batch["tags"]))
    kinds += [name for name in spans.names if name not in kinds]
    names, name = distinct(batch["file"])
    files += [one for one in names.to_pylist() if one not in files]
    sentence = np.searchsorted(ends(batch["words"]), spans.start, side="right")
    length = spans.end - spans.start
    written = np.concatenate([[0], np.cumsum(matching(words, _WRITTEN)[word])])
    return pd.DataFrame(
        {
            "text": RollingHashes(own).between(spans.start, spans.end),
            "first": own[spans.start],
            "words": length.astype(np.int32),
            "written": (written[spans.end] > written[spans.start]) | (length > 1),
            "kind": np.array([kinds.index(one) for one in spans.names], dtype=np.int32)[spans.kind],
            "file": np.array([files.index(one) for one in names.to_pylist()], dtype=np.int32)[name[sentence]],
            "line": batch["lines"].flatten().to_numpy()[spans.start],
        }
    )


def _second_look(corpus: Corpus, sought: pd.DataFrame) -> tuple[dict[int, str], dict[int, _Untagged], Counter[int]]:
    """By hash: the text of each mention; of those sought, where they stand untagged, and how often."""
    sought = sought.sort_values("text")
    by_length = {length: sought[sought["words"] == length] for length in range(1, LONGEST + 1)}
    texts: dict[int, str] = {}
    untagged: dict[int, _Untagged] = {}
    times: Counter[int] = Counter()
    for _, batch in batches(corpus, _COLUMNS):
        words, word = distinct(batch["words"].flatten())
        own = hashes(words)
        grams = RollingHashes(own[word])
        contexts, context = tags_in_context(batch["tags"])
        spans = batch_entities(contexts, context)
        place = place_of(batch)

        def text(start: int, end: int, words: pa.StringArray = words, word: NDArray[np.int32] = word) -> str:
            return " ".join(words[number].as_py() for number in word[start:end].tolist())

        tagged, firsts = np.unique(grams.between(spans.start, spans.end), return_index=True)
        for key, number in zip(tagged.tolist(), firsts.tolist(), strict=True):
            if key not in texts:
                texts[key] = text(spans.start[number], spans.end[number])
        outside = np.array([tag == OUTSIDE for _, tag, _ in contexts], dtype=bool)[context]
        borders = np.union1d(np.flatnonzero(~outside), ends(batch["words"]))
        for length, part in by_length.items():
            if not len(part):
                continue
            begin = np.flatnonzero(np.isin(own, part["first"])[word] & outside)
            # The words without a tag that begin there end behind these, or in the end of the sentence.
            begin = begin[begin + length <= borders[np.searchsorted(borders, begin, side="right")]]
            found, keys = grams.between(begin, begin + length), part["text"].to_numpy()
            same = keys[np.minimum(np.searchsorted(keys, found), len(keys) - 1)] == found
            begin, found = begin[same], found[same]
            order = np.argsort(found, kind="stable")
            begin, found = begin[order], found[order]
            for key, first, number in zip(*np.unique(found, return_index=True, return_counts=True), strict=True):
                times[int(key)] += int(number)
                where = begin[first : first + min(number, PLACES)].tolist()
                held = untagged.setdefault(int(key), _Untagged([], text(where[0], where[0] + length)))
                held.places.extend(map(place, where[: PLACES - len(held.places)]))
    return texts, untagged, times
