"""The table with one row per sentence: copies, sentences that are too long, and foreign scripts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fpplm_core.quality.checks import check_names
from fpplm_core.quality.columns import (
    Corpus,
    Numbers,
    batches,
    distinct,
    ends,
    finding_column,
    hashes,
    join_words,
    place_of,
    sums_of_lists,
)
from fpplm_core.quality.near_duplicates import Sketches, alike, concatenate, sketch
from fpplm_core.quality.scripts import letters

MAX_WORD = 100  # characters of a word; a longer one is probably several words
RARE = 0.01  # a script with a smaller share of all letters is foreign
LEAST_LETTERS = 4  # letters of a sentence in a foreign script; a formula has fewer
MEDIANS, WORDS = 20, 200  # a sentence longer than both is probably several sentences
Near = dict[int, tuple[int, float]]  # by sentence, a similar one and their similarity
_ADDRESS = re.compile(r"(?i)(?:https?|ftp)://|www\.")  # may be long


def sentences(
    corpus: Corpus,
    piece_counts: Callable[[list[str]], Sequence[int]],
    capacity: int,
    leakage_words: int,
    near: float,
) -> pd.DataFrame:
    """One row per sentence of every split; the index has its split, its number of words and its number of pieces.

    `piece_counts` gives the number of pieces of each word; `capacity` is the number of pieces that a window holds. A
    sentence of fewer than `leakage_words` words may be in train by chance; `near` is the share of word pairs that two
    sentences must have in common, in ]0, 1].
    """
    order, files, scripts = list(corpus), dict[str, int](), Counter[str]()
    long_words: dict[int, str] = {}
    parts: list[pd.DataFrame] = []
    sketches: list[Sketches] = []
    rows = 0
    for split, batch in batches(corpus, ["words", "tags", "file", "lines"]):
        part = _summary(batch, piece_counts, files, scripts).assign(split=np.int8(order.index(split)))
        sketches.append(sketch(batch["words"].filter(pa.array(_compared(part["words"], leakage_words))), near))
        long_words |= {rows + number: text for number, text in _long_words(batch).items()}
        rows += len(part)
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    parts.clear()
    split_of, size, pieces = (table[name].to_numpy() for name in ("split", "words", "pieces"))
    trained = split_of == order.index("train")
    place = _places(table, list(files))

    def column(finds: Any, describe: Callable[[int], str]) -> NDArray[np.object_]:
        rows = np.flatnonzero(finds).tolist()
        return finding_column(len(table), rows, lambda row: f"{place(row)}: {describe(row)}")

    medians = pd.Series(size).groupby(split_of).transform("median").to_numpy()
    merged = (size > MEDIANS * medians) & (size > WORDS)
    rare = [script for script, letters in scripts.items() if letters < RARE * scripts.total()]
    foreign = table["script"].isin(rare) & (table["letters"] >= LEAST_LETTERS)
    columns = _copies(table, trained, leakage_words, sketches, near, place, column) | {
        "long_sentence": column(pieces > capacity, lambda i: f"{pieces[i]} pieces, a window holds {capacity}"),
        "merged_sentence": column(merged, lambda i: f"{size[i]} words, the median is {medians[i]:g}"),
        "long_word": finding_column(len(table), long_words, long_words.__getitem__),
        "foreign_script": column(
            foreign, lambda i: f"most letters are {table['script'][i]}, which is rare in the corpus"
        ),
    }
    of_split = pd.Categorical.from_codes(split_of, pd.Index(order))
    index = pd.MultiIndex.from_arrays([of_split, size, pieces], names=["split", "words", "pieces"])
    return pd.DataFrame(columns, index, check_names("sentences"), dtype=object)


def _copies(
    table: pd.DataFrame,
    trained: NDArray[np.bool_],
    leakage_words: int,
    sketches: list[Sketches],
    near: float,
    place: Callable[[int], str],
    column: Callable[[Any, Callable[[int], str]], NDArray[np.object_]],
) -> dict[str, NDArray[np.object_]]:
    """The columns of the checks that compare sentences with each other."""
    number = pd.Series(np.arange(len(table)))
    split_of, size = table["split"].to_numpy(), table["words"].to_numpy()
    # The first sentence with the same text in the split, anywhere (by words), and in train (-1 if there is none).
    in_split = number.groupby([table["split"], table["text"]], sort=False).transform("min").to_numpy()
    divided = [table["text"], table["words"]]  # sentences that are divided into as many words
    anywhere = number.groupby(divided, sort=False).transform("min").to_numpy()
    first = number[trained].groupby(table["text"][trained], sort=False).min()
    in_train = table["text"].map(first).fillna(-1).to_numpy(dtype=np.intp)
    readings = table["tags"].groupby(divided, sort=False)
    ambiguous = readings.transform("min") != readings.transform("max")
    leaked = ~trained & (in_train >= 0) & (size >= leakage_words)
    compared = np.flatnonzero(_compared(table["words"], leakage_words))
    near_in_split, near_in_train = _near(sketches, near, compared, split_of, trained, in_split, in_train)

    def nearly(found: Near) -> NDArray[np.object_]:
        cell = "{}: nearly the same as the sentence at {} ({:.0%} alike)"
        return finding_column(len(table), found, lambda i: cell.format(place(i), place(found[i][0]), found[i][1]))

    return {
        "duplicate": column(in_split != number, lambda i: f"also at {place(in_split[i])}"),
        "conflicting_duplicate": column(
            ambiguous & (anywhere != number), lambda i: f"tagged differently at {place(anywhere[i])}"
        ),
        "near_duplicate": nearly(near_in_split),
        "leakage": column(leaked, lambda i: f"in train at {place(in_train[i])}"),
        "near_leakage": nearly(near_in_train),
    }


def _places(table: pd.DataFrame, files: list[str]) -> Callable[[int], str]:
    """file:line of a row."""
    file, line = table["file"].to_numpy(), table["line"].to_numpy()
    return lambda row: f"{files[file[row]]}:{line[row]}"


def _summary(
    batch: pa.RecordBatch,
    piece_counts: Callable[[list[str]], Sequence[int]],
    files: dict[str, int],
    scripts: Counter[str],
) -> pd.DataFrame:
    """The stored data of every sentence.

    Adds to `files` the numbers in `file` by name, and adds the letters of each script to `scripts`.
    """
    words, word = distinct(batch["words"].flatten())
    last = ends(batch["words"])
    names, name = distinct(batch["file"])
    for file in names.to_pylist():
        files.setdefault(file, len(files))
    by_script = {script: sums_of_lists(number[word], last) for script, number in letters(words).items()}
    scripts.update({script: int(number.sum()) for script, number in by_script.items()})
    total = sum(by_script.values(), np.zeros(len(batch), dtype=np.int64))
    most = np.full(len(batch), None, dtype=object)
    for script, number in by_script.items():
        most[2 * number > total] = script
    return pd.DataFrame(
        {
            "file": np.array([files[file] for file in names.to_pylist()], dtype=np.int32)[name],
            "line": pc.list_element(batch["lines"], 0).to_numpy(),
            "words": batch["words"].value_lengths().to_numpy(),
            "pieces": sums_of_lists(np.array(piece_counts(words.to_pylist()), dtype=np.int32)[word], last),
            "text": hashes(join_words(batch["words"])),
            "tags": hashes(join_words(batch["tags"])),
            "letters": total.astype(np.int32),
            "script": most,
        }
    )


def _compared(words: pd.Series[int], leakage_words: int) -> NDArray[np.bool_]:
    """Which sentences are compared with others: those of at least two words, because word pairs are compared."""
    return words.to_numpy() >= max(2, leakage_words)


def _long_words(batch: pa.RecordBatch) -> dict[int, str]:
    """By sentence, its first word that is too long, with its place."""
    words = batch["words"].flatten()
    place, last = place_of(batch), ends(batch["words"])
    found: dict[int, str] = {}
    for row in np.flatnonzero(pc.utf8_length(words).to_numpy() > MAX_WORD).tolist():
        text = words[row].as_py()
        if not _ADDRESS.match(text):
            description = f"{place(row)}: a word of {len(text)} characters: {text[:20]!r}…"
            found.setdefault(int(np.searchsorted(last, row, side="right")), description)
    return found


def _near(
    drawn: list[Sketches],
    near: float,
    sketched: Numbers,
    split_of: NDArray[np.int8],
    trained: NDArray[np.bool_],
    in_split: Numbers,
    in_train: Numbers,
) -> tuple[Near, Near]:
    """Similar sentences in the same split and in train; of copies within a split, only the first is compared."""
    sketches = concatenate(drawn)
    own = in_split[sketched] == sketched

    def found(among: NDArray[np.bool_], earlier: NDArray[np.bool_] | None = None) -> Near:
        others = None if earlier is None else np.flatnonzero(own & earlier)
        pairs = alike(sketches, near, np.flatnonzero(own & among), others)
        return {int(sketched[row]): (int(sketched[similar]), share) for row, (similar, share) in pairs.items()}

    in_same: Near = {}
    for split in np.unique(split_of):
        in_same |= found(split_of[sketched] == split)
    firsts = found(~trained[sketched] & (in_train[sketched] < 0), trained[sketched])
    copies = np.flatnonzero(np.isin(in_split, np.array(list(firsts), dtype=np.intp))).tolist()
    return in_same, {i: firsts[int(in_split[i])] for i in copies}
