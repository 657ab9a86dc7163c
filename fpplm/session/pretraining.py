"""Pretrains an encoder on several annotated corpora, and writes it as a folder that model.encoder takes."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from fpplm.pipeline.fingerprint import digest as code_digest
from fpplm.pipeline.fingerprint import fingerprint
from fpplm.session.checkpoint import Checkpoint, training_lock
from fpplm.session.corpora import (
    Corpus,
    Source,
    encode_corpora,
    find_corpora,
    held_out_files,
    label_texts,
    read_corpora,
)
from fpplm.session.precision import choose_precision
from fpplm.session.training import set_up_torch
from fpplm_core.data.corpus import stream_corpus
from fpplm_core.data.seen import sentence_hashes
from fpplm_core.data.windows import INFO
from fpplm_core.errors import DataError
from fpplm_core.files import file_sha256, whole_folder, write_record
from fpplm_core.model import pretrained
from fpplm_core.model.device import choose_device
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.tagger import Tagger
from fpplm_core.params import Params
from fpplm_core.tracking import track
from fpplm_core.training.averaging import averaged
from fpplm_core.training.data import TrainingData, restrict_vocabulary
from fpplm_core.training.leakage import seen_by_encoder, write_seen
from fpplm_core.training.length import warmup_of
from fpplm_core.training.loop import read_losses, train_steps
from fpplm_core.training.pretraining import Step, batch_of, choose_corpus, draw_steps, mark_shapes, tagger_of_corpora
from fpplm_core.training.selection import evaluate_on_dev
from fpplm_core.training.state import LoopSettings, TrainingState, initial_state

RECORD = "pretraining.json"


@dataclass(frozen=True)
class CorpusRecord:
    """A corpus that an encoder was pretrained on.

    `name` is its folder as it was given, `files` maps its files to sha256, `left_out` counts the sentences of train
    that are like held-out ones, `steps` those that trained on it; `dev_f1` is that of its own head at the end.
    """

    name: str
    files: dict[str, str]
    sentences: int
    left_out: int
    steps: int
    dev_f1: float


@dataclass(frozen=True)
class PretrainingRecord:
    """The content of pretraining.json beside an encoder: what it was made from.

    `base` is the encoder before, as model.encoder named it; the digests are those of the weights before and after.
    `held_out` maps the files that the project's dev and test come from, and those of --held-out, to sha256.
    """

    base: str
    base_sha256: str
    sha256: str
    seed: int
    steps: int
    precision: str
    held_out: dict[str, str]
    corpora: list[CorpusRecord]


def pretrain(
    params: Params,
    names: Sequence[Path],
    held_out: Sequence[Path],
    steps: int,
    out: Path,
    gazetteers: Sequence[tuple[str, Path]],
    texts: Path | None,
) -> PretrainingRecord:
    """Pretrains params.model.encoder on the corpora in these folders and writes it to `out`.

    `texts`, which the gazetteers label, are one more corpus (`label_texts`). What is like the project's dev and test,
    or the files `held_out`, is left out. A run that was killed continues from its last checkpoint. Raises DataError,
    EncoderError and ParamsError, and FpplmError if the loss is not finite or another training runs in the project.
    """
    found = find_corpora(names, held_out)
    with training_lock(0):
        require_new(out)
        with whole_folder(out.resolve()) as folder, TemporaryDirectory() as scratch:
            if texts:
                found.append(label_texts(params.data, gazetteers, texts, Path(scratch)))
            record, checkpoint = write_encoder(params, found, held_out, steps, folder, Path(scratch))
        checkpoint.remove()
    return record


def write_encoder(
    params: Params, found: Sequence[Source], held_out: Sequence[Path], steps: int, folder: Path, scratch: Path
) -> tuple[PretrainingRecord, Checkpoint]:
    """Pretrains as `pretrain` does and writes the encoder to an empty folder; returns the checkpoint to be removed."""
    set_up_torch()
    base, revision = params.model.encoder, params.model.revision
    encoder = pretrained.load_encoder(base, revision)
    before = weights_sha256(encoder)
    corpora = read_corpora(params, found, held_out, scratch)
    files = [*(one.source.files for one in corpora), held_out_files(params.data, held_out)]
    *digests, others = [{str(file): file_sha256(file) for file in own} for own in files]
    data = encode_corpora(params, corpora)
    checkpoint = checkpoint_of(params, before, corpora, steps)
    blueprints, device = [one.blueprint for one in data], choose_device(params.train.device)
    tagger = tagger_of_corpora(encoder, blueprints, params.model, params.train.seed).to(device)
    data = restrict_vocabulary(tagger, *data)
    lengths = [[len(window.ids) for window in one.windows] for one in data]
    drawn = draw_steps(lengths, params.train.batch_pieces, steps, params.train.seed)
    pretrained.load_tokenizer(base, revision).save_pretrained(folder)
    learned = chain.from_iterable(stream_corpus("train", corpus.folder) for corpus in corpora)
    write_seen(folder, np.union1d(sentence_hashes(learned), seen_by_encoder(base)))
    state, loop = train(params, tagger, data, drawn, checkpoint)
    with averaged(state.average, tagger):
        own, scores = Counter(step.corpus for step in drawn), dev_scores(params, state, data, loop.bfloat16)
        rows = [
            CorpusRecord(str(one.source.folder), digests[n], one.kept, one.left_out, own[n], scores[n])
            for n, one in enumerate(corpora)
        ]
        tagger.restore_vocabulary()
        mark_shapes(encoder, tagger.blueprint.first_shape)
        seed, after = params.train.seed, weights_sha256(encoder)
        record = PretrainingRecord(base, before, after, seed, steps, loop.precision, others, rows)
        encoder.to("cpu").save_pretrained(folder)
        write_record(folder / RECORD, record)
    return record, checkpoint


def require_new(out: Path) -> None:
    """Raises DataError unless `out` can become a new folder."""
    there = next(path for path in (out, *out.absolute().parents) if os.path.lexists(path))
    if not there.is_dir() or (there == out and any(out.iterdir())):
        raise DataError("already there", where=str(there), do="name a new folder, or remove it")


def checkpoint_of(params: Params, base: str, corpora: Sequence[Corpus], steps: int) -> Checkpoint:
    """The checkpoint of the pretraining of this encoder on these encoded corpora with these settings and this code."""
    settings = "\n".join(section.model_dump_json() for section in (params.model, params.encode, params.train))
    encoded = (file for corpus in corpora for file in (*sorted(corpus.folder.glob("*.arrow")), corpus.folder / INFO))
    data = map(file_sha256, encoded)
    inputs = hashlib.sha256("\n".join([settings, base, *data, str(steps)]).encode()).hexdigest()
    return Checkpoint.of({"pretraining": inputs, "code": code_digest([fingerprint("fpplm.session.pretraining")])})


def train(
    params: Params, tagger: Tagger, data: Sequence[TrainingData], drawn: Sequence[Step], checkpoint: Checkpoint
) -> tuple[TrainingState, LoopSettings]:
    """Trains plainly for the drawn steps, from the checkpoint if there is one. Raises FpplmError as `train_steps`."""
    if checkpoint.discard_damaged():
        print(f"{checkpoint.folder}: damaged, so removed; training starts from the beginning", flush=True)
    history = checkpoint.history()
    if history.bfloat16 is None:
        history.bfloat16 = choose_precision(params.train, tagger, data[0])
    numbers = params.train.model_dump(include=set(LoopSettings.__dataclass_fields__))
    numbers |= {"warmup": warmup_of(params.train, len(drawn)), "steps": len(drawn), "bfloat16": history.bfloat16}
    loop = LoopSettings(**numbers)
    state = initial_state(tagger, {}, loop)
    print(f"device {state.device.type}, {torch.get_num_threads()} threads, {loop.precision}")
    if history.step:
        state.restore(checkpoint.tensors())
        print(f"resumed at step {history.step} of {loop.steps}")
    reports = train_steps(state, lambda step: batch_of(drawn[step], tagger, data), {}, loop, history.step)
    unread = []
    for report in track(reports, "steps", loop.steps - history.step, lambda _: 1):
        history.step = report.step + 1
        unread.append(report)
        if history.step % params.train.checkpoint_steps == 0 or history.step == loop.steps:
            read_losses(unread)
            unread.clear()
            checkpoint.save(state, history)
    return state, loop


def dev_scores(params: Params, state: TrainingState, data: Sequence[TrainingData], bfloat16: bool) -> list[float]:
    """Dev F1 of each corpus by its own head."""
    found = []
    for number, one in enumerate(data):
        choose_corpus(state.model, number, one.blueprint)
        with torch.no_grad():
            found.append(evaluate_on_dev(state, {}, one.dev, params.train, bfloat16).f1)
    return found
