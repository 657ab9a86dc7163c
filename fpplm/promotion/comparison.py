"""Compares a new bundle with the one in production on the same test split, and decides whether it may replace it.

This is not a stage of dvc.yaml, because a model does not depend on what is in production.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from fpplm.pipeline import paths
from fpplm.pipeline.timing import word_rates
from fpplm_core.data.corpus import load_corpus, stream_corpus
from fpplm_core.data.records import Sentence
from fpplm_core.evaluation.metrics import SentenceCounts, span_counts
from fpplm_core.evaluation.promotion import (
    ChangedSentence,
    Comparison,
    SplitOverlap,
    TaggerCounts,
    compare_taggers,
)
from fpplm_core.evaluation.scores import Spans, gold_spans, mentions
from fpplm_core.evaluation.slices import read_slices
from fpplm_core.evaluation.slicing import members_of, open_columns, slice_counts
from fpplm_core.params import Params
from fpplm_core.serving import Predictor
from fpplm_core.tagging.spans import types_of

TIMED = 500  # sentences in a speed measurement
EXAMPLES = 20


def compare(candidate: Path, incumbent: Path, params: Params, overlap: SplitOverlap | None = None) -> Comparison:
    """Compares two bundles on the test split; `examples` are sentences in which their spans differ.

    `overlap` is what their training data have of the test split, if known.

    Raises BundleError for a damaged bundle, DataError where the test split is missing, ParamsError for slices.yaml.
    """
    taggers = [Predictor.load(folder, allow_links=True) for folder in (candidate, incumbent)]
    sentences = load_corpus("test", paths.CORPUS)
    gold = gold_spans(sentences)
    words, documents = [s.words for s in sentences], [s.document for s in sentences]
    after, before = ([[span for span, _ in row] for row in tagger.tag(words, documents)] for tagger in taggers)
    slices = read_slices()
    members = members_of(slices, sentences, open_columns(slices, params.data)["test"])
    seen = mentions(stream_corpus("train", paths.CORPUS)) if members else set()
    new, old = (
        TaggerCounts(
            counts_by_type(gold, spans),
            set(types_of([tagger.labels])),
            rate,
            size_of(tagger),
            slice_counts(slices, members, sentences, gold, spans, seen),
        )
        for tagger, spans, rate in zip(taggers, (after, before), rates(taggers, sentences), strict=True)
    )
    rows = zip(words, gold, before, after, strict=True)
    changed = (ChangedSentence(*row) for row in rows if set(row[2]) != set(row[3]))
    names, examples = (str(candidate), str(incumbent)), list(islice(changed, EXAMPLES))
    return compare_taggers(new, old, params.promotion, names, examples, overlap, slices.min_support)


def counts_by_type(gold: Spans, predicted: Spans) -> dict[str | None, SentenceCounts]:
    """The counts of all spans, under None, and of each type in the gold spans. *Shape:* (sentences, 3)."""
    kinds = sorted({span.type for spans in gold for span in spans})
    rows = {kind: [span_counts(g, p, kind) for g, p in zip(gold, predicted, strict=True)] for kind in (None, *kinds)}
    return {kind: np.array(row, dtype=np.int64).reshape(-1, 3) for kind, row in rows.items()}


def rates(taggers: Sequence[Predictor], sentences: Sequence[Sentence]) -> list[float]:
    """Words/s of each tagger; a short split is repeated so that it can be measured."""
    timed = list(islice(cycle(sentences), TIMED))
    return word_rates(taggers, [s.words for s in timed], [s.document for s in timed])


def size_of(tagger: Predictor) -> int:
    return int(tagger.bundle.manifest["files"][tagger.bundle.config.graphs[tagger.variant]]["bytes"])
