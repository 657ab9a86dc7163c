"""How many sentences of the current test split the training data of a new model, and of the one in production, have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from fpplm.pipeline.paths import CORPUS
from fpplm.registry.copies import copy_of
from fpplm.registry.versions import commit_of
from fpplm_core.data.corpus import UNLABELLED, stream_corpus
from fpplm_core.data.overlap import HeldOut
from fpplm_core.data.records import Sentence
from fpplm_core.errors import RegistryError
from fpplm_core.evaluation.promotion import SplitOverlap

SHOWN = 3  # places


def measure_overlap(incumbent: str | None) -> SplitOverlap:
    """Compares the test split with the training data here, and with those of a version if DVC has them."""
    test = HeldOut(stream_corpus("test", CORPUS))
    found, before = test.contained(training_sentences(CORPUS)), None
    if incumbent is not None:
        with suppress(RegistryError), TemporaryDirectory() as folder:
            corpus = copy_of(CORPUS, incumbent, commit_of(incumbent), Path(folder) / "corpus")
            before = test.contained(training_sentences(corpus))
    new = found - (before or set())
    return SplitOverlap(
        sentences=test.compared,
        candidate=len(found),
        incumbent=None if before is None else len(before),
        new=len(new),
        places=[test.places[number] for number in sorted(new or found)[:SHOWN]],
    )


def training_sentences(corpus: Path) -> Iterator[Sentence]:
    """All sentences that a model learns from, those of a second task and unlabelled ones included."""
    names = [name for name in ("train", "second", UNLABELLED) if (corpus / f"{name}.parquet").exists()]
    return chain.from_iterable(stream_corpus(name, corpus) for name in names)
