"""The table with one row per word: faults of the word, its tag, or its entity's edge."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fpplm_core.errors import shown
from fpplm_core.quality import personal_data
from fpplm_core.quality.columns import (
    Corpus,
    Entities,
    batch_entities,
    batches,
    distinct,
    ends,
    finding_column,
    join_words,
    matching,
    place_of,
    tags_in_context,
)
from fpplm_core.quality.word_faults import mojibake, normal_form, word_faults
from fpplm_core.tagging.schemes import OUTSIDE, SHOWN, split_tag, tag_errors, type_fault

_TAG_CHECKS = ("malformed_tag", "illegal_transition")
_WORD_CHECKS = (
    "empty_word",
    "control_character",
    "invisible_word",
    "byte_order_mark",
    "zero_width",
    "mojibake",
    "not_normalised",
    "mixed_script",
    "unknown_pieces",
)
ROWS = 500_000  # rows of one table, or a few more

# What the first byte of a UTF-8 character, and the following bytes, become when read as Windows-1252.
_LEAD = "[Â-ô]$"
_FOLLOWING = "^[\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"


def tokens(corpus: Corpus, scheme: str, unknown: Callable[[list[str]], Sequence[bool]]) -> Iterator[pd.DataFrame]:
    """One row per word, in tables of about ROWS rows; `unknown` tells which words have no known piece."""
    form, twins = _normal_form(corpus)
    held: list[pd.DataFrame] = []
    for _, batch in batches(corpus, ["words", "tags", "file", "lines"]):
        held.append(_judged(batch, scheme, form, twins, unknown))
        if sum(map(len, held)) >= ROWS:
            yield pd.concat(held, ignore_index=True)
            held = []
    if held:
        yield pd.concat(held, ignore_index=True)


def _judged(
    batch: pa.RecordBatch,
    scheme: str,
    form: str,
    twins: frozenset[str],
    unknown: Callable[[list[str]], Sequence[bool]],
) -> pd.DataFrame:
    words, word = distinct(batch["words"].flatten())
    contexts, context = tags_in_context(batch["tags"])
    place = place_of(batch)

    def column(name: str, faults: dict[int, dict[str, str]], kind: NDArray[np.integer]) -> NDArray[np.object_]:
        """The column of a check, with the fault of each row's kind."""
        finds = {number: found[name] for number, found in faults.items() if name in found}
        rows = np.flatnonzero(np.isin(kind, list(finds))).tolist() if finds else []
        return finding_column(len(kind), rows, lambda row: f"{place(row)}: {finds[kind[row]]}")

    texts = words.to_pylist()
    odd = np.flatnonzero(~matching(words, "^[!-~]+$")).tolist()  # printable ASCII has no fault
    of_words = {number: word_faults(texts[number], form, twins) for number in odd}
    for number in np.flatnonzero(np.array(unknown(texts), dtype=bool)).tolist():
        known = of_words.get(number, {})
        if not known.keys() & {"empty_word", "invisible_word"}:
            of_words[number] = known | {"unknown_pieces": f"the encoder has no known piece for {shown(texts[number])}"}
    of_tags = {number: _tag_fault(*triple, scheme) for number, triple in enumerate(contexts)}
    columns = {name: column(name, of_tags, context) for name in _TAG_CHECKS}
    columns |= {name: column(name, of_words, word) for name in _WORD_CHECKS}
    for row, reason in _parted_mojibake(batch, words, word).items():
        columns["mojibake"][row] = columns["mojibake"][row] or f"{place(row)}: {reason}"
    finds = {"personal_data": _personal(batch)}
    tagged = scheme != "TAGS"
    finds["entity_edge"] = _edges(batch, words, word, batch_entities(contexts, context)) if tagged else {}
    for name, found in finds.items():
        columns[name] = finding_column(len(word), found, lambda row, found=found: f"{place(row)}: {found[row]}")  # type: ignore[misc]
    return pd.DataFrame(columns, dtype=object)


def _normal_form(corpus: Corpus) -> tuple[str, frozenset[str]]:
    """NFC or NFD, whichever more of the words that differ between the two are in, and the twins.

    A twin is a text, in NFC and NFD alike, that the corpus has in several forms: itself, or with marks in another
    order, or with a letter that both forms replace.
    """
    counts: Counter[str] = Counter()
    forms: defaultdict[str, set[str]] = defaultdict(set)
    for _, batch in batches(corpus, ["words"]):
        words, word = distinct(batch["words"].flatten())
        beyond_ascii = matching(words, "[^\\x00-\\x7f]")
        times = np.bincount(word, minlength=len(words))[beyond_ascii].tolist()
        for text, number in zip(words.filter(pa.array(beyond_ascii)).to_pylist(), times, strict=True):
            counts[normal_form(text)] += number
            if normal_form(text) == "replaced":
                forms[unicodedata.normalize("NFC", text)].add(text)
    for _, batch in batches(corpus, ["words"]) if forms else ():
        for text in forms.keys() & distinct(batch["words"].flatten())[0].to_pylist():  # also ASCII, such as ; and K
            forms[text].add(text)
    twins = frozenset(text for text, written in forms.items() if len(written) > 1)
    return "NFD" if counts["NFD"] > counts["NFC"] else "NFC", twins


def _parted_mojibake(batch: pa.RecordBatch, words: pa.StringArray, word: NDArray[np.int32]) -> dict[int, str]:
    """As `mojibake`, for a damaged character that was split into several words, by the first of them."""
    lead, following = matching(words, _LEAD)[word], matching(words, _FOLLOWING)[word]
    found = {}
    last = ends(batch["words"])
    for row in np.flatnonzero(lead[:-1] & following[1:]).tolist():
        end = int(last[np.searchsorted(last, row, side="right")])
        parts = [words[number].as_py() for number in word[row : min(row + 3, end)].tolist()]
        parts = parts[:2] if len(parts) < 3 or not following[row + 2] else parts
        if len(parts) > 1 and (reason := mojibake("".join(parts))):
            found[row] = reason
    return found


def _tag_fault(before: str | None, tag: str, after: str | None, scheme: str) -> dict[str, str]:
    """The fault of a tag by check; for the last tag, why it cannot end takes precedence over why it cannot follow."""
    tags = [near for near in (before, tag, after) if near is not None]
    found = [fault.reason for fault in tag_errors(tags, scheme) if fault.word == (before is not None)]
    malformed = any(reason.startswith(("malformed", "unknown")) for reason in found)
    if not malformed and (reason := type_fault(split_tag(tag)[1], scheme) if tag != OUTSIDE else ""):
        return {_TAG_CHECKS[0]: f"malformed tag: {tag[:SHOWN]!a}{'...' * (len(tag) > SHOWN)}: {reason}"}
    return {_TAG_CHECKS[0 if malformed else 1]: found[-1]} if found else {}


def _personal(batch: pa.RecordBatch) -> dict[int, str]:
    """The personal data that begins at each word."""
    found: dict[int, str] = {}
    starts = np.concatenate([[0], ends(batch["words"])])
    for number in np.flatnonzero(matching(join_words(batch["words"]), personal_data.LIKELY)).tolist():
        for place, what in personal_data.find(batch["words"][number].as_py()):
            found.setdefault(int(starts[number]) + place, what)
    return found


# Punctuation that may belong to the edge of an entity: signs of numbers and marks, and the ends of pairs.
_MAY_BEGIN = re.compile(r"[#@§~+\-−±<>≥≤$€£¥¢₹₽₩]")
_MAY_END = re.compile(r"[%‰°′″+#*™®©$€£¥¢₹₽₩]")
_PAIRS = {")": "(", "]": "[", "}": "{", "''": "``", "”": "“„", "“": "„", "’": "‘‚", "»": "«", "«": "»", "›": "‹",
          "》": "《", "〉": "〈", "」": "「", "』": "『", "）": "（", "】": "【", "!": "¡",
          "?": "¿", ">": "<"}  # fmt: skip
_ABBREVIATION = re.compile(r"(?i)[^\W\d_]|.*\..*|inc|ltd|co|corp|bros|jr|sr|st|dr|llc|ltda|cia|etc|no|vs|mt|ave")


def _edges(batch: pa.RecordBatch, words: pa.StringArray, word: NDArray[np.int32], spans: Entities) -> dict[int, str]:
    """Why an entity should not begin or end with a word, by word."""
    marks = matching(words, r"^[\p{P}\p{S}]+$")[word]
    last = set((ends(batch["words"]) - 1).tolist())
    found: dict[int, str] = {}
    for number in np.flatnonzero(marks[spans.start] | marks[spans.end - 1]).tolist():
        start, end = int(spans.start[number]), int(spans.end[number])
        texts = [words[place].as_py() for place in word[start:end].tolist()]
        kind, mention = spans.names[spans.kind[number]], " ".join(texts)
        if all(marks[start:end]):
            if not _MAY_END.fullmatch(mention):
                found[start] = f"{kind} {shown(mention)} is only punctuation"
            continue
        if marks[start] and not _may_begin(texts):
            found[start] = f"{kind} {shown(mention)} begins with {shown(texts[0])}"
        if marks[end - 1] and not _may_end(texts, end - 1 in last):
            found[end - 1] = f"{kind} {shown(mention)} ends with {shown(texts[-1])}"
    return found


def _may_begin(texts: list[str]) -> bool:
    closed = any(texts[0] in _PAIRS.get(text, "") for text in texts[1:])
    return bool(_MAY_BEGIN.fullmatch(texts[0])) or closed or texts[0] in texts[1:]


def _may_end(texts: list[str], in_the_end: bool) -> bool:
    mark, before = texts[-1], texts[:-1]
    if mark == ".":
        return not in_the_end or bool(_ABBREVIATION.fullmatch(before[-1]))
    if mark in ("!", "?", "...", "…") and (
        not in_the_end or len(before) > 2
    ):  # a name that ends in it, such as a title
        return True
    opened = any(text in _PAIRS.get(mark, "") for text in before)
    return bool(_MAY_END.fullmatch(mark)) or opened or (mark in before and mark not in (",", "-", ";", ":"))
