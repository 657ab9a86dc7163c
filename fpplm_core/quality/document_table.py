"""The table with one row per document of dev and test, if documents are marked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fpplm_core.quality.columns import Corpus, batches, finding_column, hashes, join_words

SHARE = 0.5  # a document counts as in train if train has at least this share of its sentences


def documents(corpus: Corpus, leakage_words: int) -> pd.DataFrame:
    """One row per document of every split but train; the index has its split and its number of sentences.

    Sentences of fewer than `leakage_words` words are not compared with train.
    """
    parts = [_summary(split, batch) for split, batch in batches(corpus, ["words", "file", "lines", "document"])]
    sentences = pd.concat(parts, ignore_index=True)
    counted = sentences["words"] >= leakage_words
    trained = sentences["text"][counted & (sentences["split"] == "train")].unique()
    sentences = sentences.assign(counted=counted, known=counted & sentences["text"].isin(trained))
    marked = sentences[sentences["document"] >= 0].groupby(["split", "file", "document"], sort=False)
    table = marked.agg({"counted": "sum", "known": "sum", "line": "first", "text": "size"}).reset_index()
    table = table.rename(columns={"text": "sentences"})
    # One hash of all sentences in order.
    table["text"] = [hash(tuple(texts.tolist())) for _, texts in marked["text"]]
    first = pd.Series(np.arange(len(table))).groupby(table["text"], sort=False).transform("min").to_numpy()
    leaked = (table["counted"] > 0) & ((table["known"] >= SHARE * table["counted"]) | (first != table.index))
    cut = table.groupby(["file", "document"])["split"].transform("size").to_numpy() > 1
    kept = np.flatnonzero(table["split"] != "train")

    def place(i: int) -> str:
        return f"{table['file'][i]}:{table['line'][i]}"

    def describe(row: int) -> str:
        i = kept[row]
        if first[i] != i:
            return f"{place(i)}: the same document as at {place(first[i])}"
        if cut[i] and not leaked[i]:
            return f"{place(i)}: another split has other sentences of this document"
        return f"{place(i)}: train has {table['known'][i]} of this document's {table['counted'][i]} sentences"

    column = finding_column(len(kept), np.flatnonzero((leaked.to_numpy() | cut)[kept]).tolist(), describe)
    index = pd.MultiIndex.from_frame(table.loc[kept, ["split", "sentences"]])
    return pd.DataFrame({"document_leakage": column}, index, dtype=object)


def _summary(split: str, batch: pa.RecordBatch) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "split": split,
            "file": batch["file"].to_pandas(),
            "document": batch["document"].fill_null(-1).to_numpy(),
            "line": pc.list_element(batch["lines"], 0).to_numpy(),
            "words": batch["words"].value_lengths().to_numpy(),
            "text": hashes(join_words(batch["words"])),
        }
    )
