"""Counts the sentences of the current test split in the training data of the new model and of that in production."""

from __future__ import annotations

from pathlib import Path

from fpplm.pipeline.paths import CORPUS
from fpplm_core.data.corpus import stream_corpus, training_sentences
from fpplm_core.data.overlap import HeldOut
from fpplm_core.evaluation.promotion import SplitOverlap

SHOWN = 3  # places


def measure_overlap(incumbent: Path | None) -> SplitOverlap:
    """Compares the test split with the training data here, and with those of the corpus of an incumbent."""
    test = HeldOut(stream_corpus("test", CORPUS))
    found = test.contained(training_sentences(CORPUS))
    before = None if incumbent is None else test.contained(training_sentences(incumbent))
    new = found - (before or set())
    return SplitOverlap(
        sentences=test.compared,
        candidate=len(found),
        incumbent=None if before is None else len(before),
        new=len(new),
        places=[test.places[number] for number in sorted(new or found)[:SHOWN]],
    )
