"""What can be wrong with annotated data, as tables with one column a check.

A check's column holds, for every row, what is wrong with it in words, after file and line, or None. Whoever checks
the tables (Great Expectations in the pipeline) needs one rule only: these columns are empty.

tokens     one row a word
sentences  one row a sentence
splits     one row a split and type, and one a split

A split is read from Parquet (words, tags, file, lines, document) in batches. Of a batch every distinct word, and every
distinct tag between its neighbours, is judged once. Of the whole some numbers a sentence are kept, texts as hashes of
64 bits (that any two of a million different sentences have the same one has a chance of 3 in 10^8).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow.parquet import ParquetFile

from fpplm_core.labels import OUTSIDE, faults, lenient_spans
from fpplm_core.text import is_invisible

# C0 and C1 controls, the replacement character, and code points that are no characters.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ufffe\uffff]")
_ZERO_WIDTH = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_TAG_CHECKS = ("malformed_tag", "illegal_transition")
_WORD_CHECKS = ("empty_word", "control_character", "invisible_word", "zero_width")
CHECKS = {
    "tokens": (*_TAG_CHECKS, *_WORD_CHECKS),
    "sentences": ("duplicate", "conflicting_duplicate", "leakage", "long_sentence"),
    "splits": ("unknown_type", "few_examples", "empty_split"),
}
SENTENCES = 10_000  # of one batch
ROWS = 1_000_000  # of one table of words, or little more

Corpus = Mapping[str, ParquetFile]
InContext = tuple[str | None, str, str | None]  # a tag between its neighbours, None beyond the sentence's edge


def tokens(corpus: Corpus, scheme: str) -> Iterator[pd.DataFrame]:
    """One row a word of every split, in tables of about ROWS rows."""
    held: list[pd.DataFrame] = []
    for _, batch in _batches(corpus, ["words", "tags", "file", "lines"]):
        held.append(_judged(batch, scheme))
        if sum(map(len, held)) >= ROWS:
            yield pd.concat(held, ignore_index=True)
            held = []
    if held:
        yield pd.concat(held, ignore_index=True)


def _batches(corpus: Corpus, columns: list[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Every batch with its split; an empty one of a split without sentences."""
    for split, data in corpus.items():
        if not data.metadata.num_rows:
            yield split, pa.RecordBatch.from_pylist([], data.schema_arrow)
        for batch in data.iter_batches(SENTENCES, columns=columns):
            yield split, batch


def _judged(batch: pa.RecordBatch, scheme: str) -> pd.DataFrame:
    words, word = _distinct(batch["words"].flatten())
    contexts, context = _in_context(batch["tags"])
    lines = batch["lines"].flatten().to_numpy()
    ends = _ends(batch["lines"])

    def column(finds: list[str | None], which: NDArray[np.integer[Any]]) -> NDArray[np.object_]:
        """Of every row what was found of its kind."""
        cells = np.full(len(which), None, dtype=object)
        for row in np.flatnonzero(np.array([find is not None for find in finds], dtype=bool)[which]).tolist():
            file = batch["file"][int(np.searchsorted(ends, row, side="right"))].as_py()
            cells[row] = f"{file}:{lines[row]}: {finds[which[row]]}"
        return cells

    # Printable ASCII has no fault.
    plain = pc.match_substring_regex(words, "^[!-~]+$").to_pylist()
    of_words = [{} if good else _word_faults(text) for good, text in zip(plain, words.to_pylist(), strict=True)]
    of_tags = [_tag_fault(*triple, scheme) for triple in contexts]
    return pd.DataFrame(
        {name: column([found.get(name) for found in of_tags], context) for name in _TAG_CHECKS}
        | {name: column([found.get(name) for found in of_words], word) for name in _WORD_CHECKS},
        dtype=object,
    )


def _word_faults(word: str) -> dict[str, str]:
    """By check, what is wrong with a word."""
    if not word.strip():
        return {"empty_word": "a word without a visible character"}
    found = {}
    if _CONTROL.search(word):
        found["control_character"] = f"control or replacement character: {word!a}"
    if is_invisible(word):
        found["invisible_word"] = f"invisible characters alone: {word!a}"
    elif _ZERO_WIDTH.search(word):
        found["zero_width"] = f"zero-width character: {word!a}"
    return found


def _tag_fault(before: str | None, tag: str, after: str | None, scheme: str) -> dict[str, str]:
    """By check, what is wrong with a tag; of a sentence's last, why it cannot end rather than why it cannot follow."""
    tags = [one for one in (before, tag, after) if one is not None]
    found = [fault.reason for fault in faults(tags, scheme) if fault.word == (before is not None)]
    malformed = any(reason.startswith(("malformed", "unknown")) for reason in found)
    return {_TAG_CHECKS[0 if malformed else 1]: found[-1]} if found else {}


def sentences(
    corpus: Corpus, piece_counts: Callable[[list[str]], Sequence[int]], room: int, leakage_words: int
) -> pd.DataFrame:
    """One row a sentence of every split; `piece_counts` says of words how many pieces they have, `room` how many
    pieces one window holds.
    """
    order, files = list(corpus), list[str]()
    table = pd.concat(_summaries(corpus, piece_counts, files), ignore_index=True)
    number = pd.Series(np.arange(len(table)))
    trained = table["split"] == order.index("train")
    # The first sentence with the same text in the split, anywhere, and in train (-1 where there is none).
    in_split = number.groupby([table["split"], table["text"]], sort=False).transform("min").to_numpy()
    anywhere = number.groupby(table["text"], sort=False).transform("min").to_numpy()
    first = number[trained].groupby(table["text"][trained], sort=False).min()
    in_train = table["text"].map(first).fillna(-1).to_numpy(dtype=np.intp)
    readings = table.groupby("text", sort=False)["tags"]
    ambiguous = readings.transform("min") != readings.transform("max")
    leaked = ~trained & (in_train >= 0) & (table["words"] >= leakage_words)
    file, line, pieces = (table[name].to_numpy() for name in ("file", "line", "pieces"))

    def place(i: int) -> str:
        return f"{files[file[i]]}:{line[i]}"

    def column(finds: Any, said: Callable[[int], str]) -> NDArray[np.object_]:
        cells = np.full(len(table), None, dtype=object)
        for i in np.flatnonzero(finds).tolist():
            cells[i] = f"{place(i)}: {said(i)}"
        return cells

    columns = {
        "duplicate": column(in_split != number, lambda i: f"also at {place(in_split[i])}"),
        "conflicting_duplicate": column(
            ambiguous & (anywhere != number), lambda i: f"tagged in another way at {place(anywhere[i])}"
        ),
        "leakage": column(leaked, lambda i: f"in train at {place(in_train[i])}"),
        "long_sentence": column(pieces > room, lambda i: f"{pieces[i]} pieces, a window holds {room}"),
    }
    return pd.DataFrame(columns, dtype=object)


def _summaries(
    corpus: Corpus, piece_counts: Callable[[list[str]], Sequence[int]], files: list[str]
) -> Iterator[pd.DataFrame]:
    """What is kept of every sentence; `files` is filled with the names that the numbers in `file` stand for."""
    for split, batch in _batches(corpus, ["words", "tags", "file", "lines"]):
        words, word = _distinct(batch["words"].flatten())
        names, name = _distinct(batch["file"])
        files += [one for one in names.to_pylist() if one not in files]
        yield pd.DataFrame(
            {
                "split": np.full(len(batch), list(corpus).index(split), dtype=np.int8),
                "file": np.array([files.index(one) for one in names.to_pylist()], dtype=np.int32)[name],
                "line": pc.list_element(batch["lines"], 0).to_numpy(),
                "words": batch["words"].value_lengths().to_numpy(),
                "pieces": _sums(np.array(piece_counts(words.to_pylist()), dtype=np.int32)[word], _ends(batch["words"])),
                "text": _hashes(batch["words"]),
                "tags": _hashes(batch["tags"]),
            }
        )


def splits(corpus: Corpus, sizes: Mapping[str, Mapping[str, Any]], min_examples: int) -> pd.DataFrame:
    """One row a split, then one row a split and type; `sizes` are its `statistics`."""
    counts = {split: Counter(size["entities"]) for split, size in sizes.items()}
    types = sorted({kind for part in counts.values() for kind in part})
    rows: list[dict[str, str | None]] = []
    for split, data in corpus.items():
        first = next(data.iter_batches(1, columns=["file"]), None)
        file = split if first is None else first["file"][0].as_py()
        what = "no sentence" if first is None else "no entity" if not counts[split] else None
        rows.append({"empty_split": f"{file}:1: {split} has {what}" if what else None})
        for kind in types:
            number, trained = counts[split][kind], counts["train"][kind]
            unknown = f"{file}:1: {kind}: {number} in {split}, none in train" if number and not trained else None
            rare = split == "train" and 0 < number < min_examples
            few = f"{file}:1: {kind}: {number} in train, wanted {min_examples}" if rare else None
            rows.append({"unknown_type": unknown, "few_examples": few})
    return pd.DataFrame(rows, columns=CHECKS["splits"], dtype=object)


def statistics(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Sizes, lengths and labels of each split."""
    found: dict[str, dict[str, Any]] = {}
    for split in corpus:
        inside = 0
        entities: Counter[str] = Counter()
        documents: set[tuple[str, int]] = set()
        parts = []
        for _, batch in _batches({split: corpus[split]}, ["tags", "file", "document"]):
            contexts, context = _in_context(batch["tags"])
            for (before, tag, _), times in zip(contexts, np.bincount(context).tolist(), strict=True):
                inside += times * (tag != OUTSIDE)
                tags = [tag] if before is None else [before, tag]
                entities.update({span.type: times for span in lenient_spans(tags) if span.start == len(tags) - 1})
            marked = batch.filter(pc.is_valid(batch["document"]))
            documents.update(zip(marked["file"].to_pylist(), marked["document"].to_pylist(), strict=True))
            parts.append(batch["tags"].value_lengths().to_numpy())
        lengths = pd.Series(np.concatenate(parts))
        found[split] = {
            "sentences": len(lengths),
            "documents": len(documents),
            "words": int(lengths.sum()),
            "words_in_entities": inside,
            "entities": dict(sorted(entities.items())),
            "length_median": float(lengths.median()) if len(lengths) else 0.0,
            "length_p95": float(lengths.quantile(0.95)) if len(lengths) else 0.0,
            "length_max": int(lengths.max()) if len(lengths) else 0,
        }
    return found


def _distinct(column: pa.StringArray) -> tuple[pa.StringArray, NDArray[np.int32]]:
    """The distinct values of a column, and which of them each row has."""
    encoded = column.dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy()


def _ends(lists: pa.ListArray) -> NDArray[np.intp]:
    """Behind which of all values each list ends."""
    return np.cumsum(lists.value_lengths().to_numpy(), dtype=np.intp)


def _sums(values: NDArray[np.integer[Any]], ends: NDArray[np.intp]) -> NDArray[np.integer[Any]]:
    """The sum of the values of each list."""
    return np.diff(np.concatenate([[0], np.cumsum(values)])[ends], prepend=0)


def _hashes(lists: pa.ListArray) -> NDArray[np.uint64]:
    """A hash of each list of texts, with blanks between them."""
    joined = pc.binary_join(lists, " ").to_numpy(zero_copy_only=False)
    return pd.util.hash_array(joined, categorize=False)


def _in_context(tags: pa.ListArray) -> tuple[list[InContext], NDArray[np.intp]]:
    """The distinct tags between their neighbours, and which of them each word has."""
    distinct, tag = _distinct(tags.flatten())
    names = [*distinct.to_pylist(), None]
    edge, base = len(names) - 1, len(names)
    ends = _ends(tags)
    ends = ends[tags.value_lengths().to_numpy() > 0]
    padded = np.concatenate([[edge], tag, [edge]]).astype(np.int64)
    before, after = padded[:-2].copy(), padded[2:].copy()
    before[ends[:-1]] = edge
    after[ends - 1] = edge
    context, codes = pd.factorize((before * base + tag) * base + after)
    triples = [(code // base // base, code // base % base, code % base) for code in codes.tolist()]
    return [(names[a], str(names[b]), names[c]) for a, b, c in triples], context
