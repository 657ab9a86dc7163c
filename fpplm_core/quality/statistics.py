"""Sizes, lengths, labels and letters of each split, and its cost in pieces and windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from fpplm_core.quality.columns import Corpus, batch_entities, batches, distinct, ends, sums_of_lists, tags_in_context
from fpplm_core.quality.scripts import letters
from fpplm_core.tagging.schemes import OUTSIDE
from fpplm_core.tagging.windows import window_bounds


@dataclass(frozen=True)
class SplitStatistics:
    """Sizes of a split. `sentences_with` counts sentences by entity type, `letters` counts letters by script."""

    sentences: int
    documents: int
    words: int
    words_in_entities: int
    entity_share: float
    sentences_with_entities: int
    entities: dict[str, int]
    sentences_with: dict[str, int]
    length_median: float
    length_p95: float
    length_max: int
    letters: dict[str, int]
    pieces: int
    windows: int
    sentences_of_several_windows: int


def statistics(
    corpus: Corpus, piece_counts: Callable[[list[str]], Sequence[int]], capacity: int, stride: int
) -> dict[str, SplitStatistics]:
    """The statistics of each split.

    `piece_counts` gives the number of pieces of each word, from 1 to `capacity`, the pieces of a window; neighbouring
    windows of a sentence share `stride` pieces. Windows are counted without context from neighbouring sentences.
    """
    return {split: _of_split({split: data}, piece_counts, capacity, stride) for split, data in corpus.items()}


def _of_split(
    part: Corpus, piece_counts: Callable[[list[str]], Sequence[int]], capacity: int, stride: int
) -> SplitStatistics:
    inside = pieces = windows = several = holding = 0
    found: Counter[str] = Counter()
    held: Counter[str] = Counter()
    scripts: Counter[str] = Counter()
    documents: set[tuple[str, int]] = set()
    parts = []
    for _, batch in batches(part, ["words", "tags", "file", "document"]):
        words, word = distinct(batch["words"].flatten())
        last = ends(batch["words"])
        contexts, context = tags_in_context(batch["tags"])
        inside += int(np.count_nonzero(np.array([tag != OUTSIDE for _, tag, _ in contexts], dtype=bool)[context]))
        spans = batch_entities(contexts, context)
        sentence = np.searchsorted(last, spans.start, side="right")
        holding += len(np.unique(sentence))
        types = len(spans.names)
        kinds_with = np.unique(sentence * max(1, types) + spans.kind) % max(1, types)  # once a sentence
        for counts, kind in ((found, spans.kind), (held, kinds_with)):
            counts.update(dict(zip(spans.names, np.bincount(kind, minlength=types).tolist(), strict=True)))
        times = np.bincount(word, minlength=len(words))
        scripts.update({script: int(number @ times) for script, number in letters(words).items()})
        marked = batch.filter(pc.is_valid(batch["document"]))
        documents.update(zip(marked["file"].to_pylist(), marked["document"].to_pylist(), strict=True))
        lengths = np.array(piece_counts(words.to_pylist()), dtype=np.intp)[word]
        of_sentence = sums_of_lists(lengths, last)
        pieces += int(of_sentence.sum())
        long = np.flatnonzero(of_sentence > capacity).tolist()
        several += len(long)
        starts = np.concatenate([[0], last])
        windows += len(of_sentence) - len(long)
        windows += sum(len(window_bounds(lengths[starts[row] : starts[row + 1]], capacity, stride)) for row in long)
        parts.append(batch["tags"].value_lengths().to_numpy())
    sizes = pd.Series(np.concatenate(parts))
    return SplitStatistics(
        sentences=len(sizes),
        documents=len(documents),
        words=int(sizes.sum()),
        words_in_entities=inside,
        entity_share=inside / max(1, int(sizes.sum())),
        sentences_with_entities=holding,
        entities=dict(sorted(found.items())),
        sentences_with=dict(sorted(held.items())),
        length_median=float(sizes.median()) if len(sizes) else 0.0,
        length_p95=float(sizes.quantile(0.95)) if len(sizes) else 0.0,
        length_max=int(sizes.max()) if len(sizes) else 0,
        letters={script: number for script, number in scripts.most_common() if number},
        pieces=pieces,
        windows=windows,
        sentences_of_several_windows=several,
    )
