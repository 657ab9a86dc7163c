"""The table with one row per distinct mention (case-sensitive): whether all its readings agree.

It takes two passes over the corpus. The first stores a hash of the words of every mention, with its type and place. The
second looks up the text of each distinct mention, and finds untagged words that have the hash of a mention.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fpplm_core.errors import shown
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

CONFLICT_SHARE = 0.8  # a reading with at least this share of a mention's readings puts the others in doubt
PLACES = 20  # untagged places kept per mention
LONGEST = 6  # most words of a mention whose untagged places are searched for
_COLUMNS = ["words", "tags", "file", "lines"]
_READING = ["text", "kind", "number", "file", "line"]
_WRITTEN = r"[\p{Lu}\p{Lt}\p{Nd}]"  # a capital letter or digit: a word without one is often not a name


class _Untagged(NamedTuple):
    """The first PLACES places where a mention is not tagged, and its text there."""

    places: list[str]
    text: str


def mentions(corpus: Corpus, scheme: str) -> pd.DataFrame:
    """One row per distinct mention in all splits, in order of first occurrence; no rows for the scheme TAGS.

    The index has the mention's text, and how often it is tagged.

    A reading (a type, or no tag) is in doubt if another reading has at least CONFLICT_SHARE of all readings: no reading
    of a truly ambiguous mention has that much.
    """
    if scheme == "TAGS":
        return pd.DataFrame({}, _index([], []), check_names("mentions"), dtype=object)
    kind_numbers, file_numbers = dict[str, int](), dict[str, int]()
    summaries = [_summary(batch, kind_numbers, file_numbers) for _, batch in batches(corpus, _COLUMNS)]
    every = pd.concat(summaries, ignore_index=True)
    kinds, files = list(kind_numbers), list(file_numbers)
    readings = every.groupby(["text", "kind"], sort=False).agg({"words": "size", "file": "first", "line": "first"})
    readings = readings.reset_index().rename(columns={"words": "number"})
    of_mention = readings.groupby("text", sort=False)["number"]
    most, total = of_mention.transform("max"), of_mention.transform("sum")
    doubted = readings[(most < total) & (most >= CONFLICT_SHARE * total)]
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
        conflicts[row_of[text]] = f"{place}: {shown(texts[text])} is {', '.join(parts)}"  # the last is the rarest
    missing = {}
    for text, (places, mention) in untagged.items():
        row = row_of[text]
        if tagged[row] >= CONFLICT_SHARE * (tagged[row] + times[text]):
            where = f"{files[table['file'][row]]}:{table['line'][row]}"
            others = f", also {', '.join(places[1:])}" if places[1:] else ""
            description = (
                f"{shown(mention)} is untagged {times[text]} times{others}, and tagged {tagged[row]} times ({where})"
            )
            missing[row] = f"{places[0]}: {description}"
    found = {"conflicting_mention": conflicts, "untagged_mention": missing}
    columns = {name: finding_column(len(table), rows, rows.__getitem__) for name, rows in found.items()}
    return pd.DataFrame(columns, _index([texts[text] for text in row_of], tagged.tolist()), dtype=object)


def _index(texts: list[str], counts: list[int]) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([texts, counts], names=["mention", "count"])


def _summary(batch: pa.RecordBatch, kinds: dict[str, int], files: dict[str, int]) -> pd.DataFrame:
    """The stored data of every mention; adds to both the numbers of new names."""
    words, word = distinct(batch["words"].flatten())
    own = hashes(words)[word]
    spans = batch_entities(*tags_in_context(batch["tags"]))
    names, name = distinct(batch["file"])
    for numbers, found in ((kinds, spans.names), (files, names.to_pylist())):
        for one in found:
            numbers.setdefault(one, len(numbers))
    sentence = np.searchsorted(ends(batch["words"]), spans.start, side="right")
    length = spans.end - spans.start
    written = np.concatenate([[0], np.cumsum(matching(words, _WRITTEN)[word])])
    return pd.DataFrame(
        {
            "text": RollingHashes(own).between(spans.start, spans.end),
            "first": own[spans.start],
            "words": length.astype(np.int32),
            "written": (written[spans.end] > written[spans.start]) | (length > 1),
            "kind": np.array([kinds[kind] for kind in spans.names], dtype=np.int32)[spans.kind],
            "file": np.array([files[file] for file in names.to_pylist()], dtype=np.int32)[name[sentence]],
            "line": batch["lines"].flatten().to_numpy()[spans.start],
        }
    )


def _second_look(corpus: Corpus, sought: pd.DataFrame) -> tuple[dict[int, str], dict[int, _Untagged], Counter[int]]:
    """By hash: the text of each mention; for those sought, their untagged places and how many these are."""
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
