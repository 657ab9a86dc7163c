"""Hashes of the sentences that a model or an encoder learned from, kept beside it; refuses those of dev and test."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from fpplm_core.data.corpus import stream_corpus, training_sentences
from fpplm_core.data.likeness import tokens_of
from fpplm_core.data.seen import sentence_hash, sentence_hashes
from fpplm_core.errors import DataError, shown
from fpplm_core.files import write_tensors
from fpplm_core.model.source import encoder_source

SEEN = "seen.safetensors"
SHOWN = 3  # sentences in a message
UNREADABLE = (DataError, SafetensorError, OSError, KeyError, TypeError, RuntimeError)


def write_seen(folder: Path, seen: NDArray[np.int64]) -> None:
    """Writes `sentence_hashes` of what a model or an encoder learned from beside it."""
    write_tensors(folder / SEEN, {"sentences": torch.from_numpy(seen)})


def seen_by_encoder(encoder: str) -> NDArray[np.int64]:
    """The hashes that `write_seen` wrote beside an encoder, which model.encoder names; empty if it wrote none.

    Raises DataError if the file cannot be read, and EncoderError if the encoder's package is missing.
    """
    folder = Path(encoder_source(encoder))
    if not (folder / SEEN).is_file():
        return np.zeros(0, dtype=np.int64)
    try:
        return load_seen(folder)
    except UNREADABLE as error:
        do = "pretrain the encoder anew"
        raise DataError("cannot be read", where=str(folder / SEEN), got=shown(str(error)), do=do) from None


def load_seen(folder: Path) -> NDArray[np.int64]:
    """The hashes that `write_seen` wrote beside a model or an encoder. Raises one of UNREADABLE."""
    hashes: NDArray[np.int64] = (
        safetensors.torch.load_file(folder / SEEN)["sentences"].numpy().astype(np.int64, casting="safe")
    )
    return hashes.reshape(-1)


def require_unseen_by_encoder(encoder: str, corpus: Path) -> None:
    """As `require_unseen`, for an encoder as model.encoder names it, if `write_seen` wrote a file beside it."""
    seen = seen_by_encoder(encoder)
    if len(seen):
        do = "pretrain it anew (fpplm pretrain leaves out dev and test), or name another encoder"
        require_unseen(seen, corpus, where="model.encoder", name=encoder, do=do)


def require_unseen(seen: NDArray[np.int64], corpus: Path, *, where: str, name: str, do: str) -> None:
    """Raises DataError if `seen` has sentences of dev or test of this corpus that its train lacks.

    Those that train has too are a matter of the data check and of promotion.max_overlap.
    """
    foreign = set(np.setdiff1d(seen, sentence_hashes(training_sentences(corpus))).tolist())
    held_out = chain.from_iterable(stream_corpus(split, corpus) for split in ("dev", "test"))
    found = [one.place for one in held_out if foreign and sentence_hash(tokens_of(one.words)) in foreign]
    if found:
        got = f"{name}: {len(found)}, such as {', '.join(found[:SHOWN])}"
        raise DataError("it was trained on sentences of dev or test", where=where, got=got, do=do)
