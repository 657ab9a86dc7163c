"""Pretrains an encoder on several annotated corpora, and writes it as a folder that model.encoder takes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from fpplm.pipeline.fingerprint import digest as code_digest
from fpplm.pipeline.fingerprint import fingerprint
from fpplm.pipeline.hashes import hash_file
from fpplm.session.checkpoint import Checkpoint
from fpplm.session.corpora import encode_corpora, read_corpora
from fpplm.session.precision import choose_precision
from fpplm.session.training import set_up_torch
from fpplm_core.errors import DataError
from fpplm_core.files import whole_folder, write_record
from fpplm_core.model import pretrained
from fpplm_core.model.device import choose_device
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.tagger import Tagger
from fpplm_core.params import Params
from fpplm_core.tracking import track
from fpplm_core.training.averaging import averaged
from fpplm_core.training.data import TrainingData, restrict_vocabulary
from fpplm_core.training.length import warmup_of
from fpplm_core.training.loop import train_steps
from fpplm_core.training.pretraining import Step, batch_of, choose_corpus, draw_steps, mark_shapes, tagger_of_corpora
from fpplm_core.training.selection import evaluate_on_dev
from fpplm_core.training.state import LoopSettings, TrainingState, initial_state

RECORD = "pretraining.json"


@dataclass(frozen=True)
class CorpusRecord:
    """A corpus that an encoder was pretrained on.

    `files` maps files to sha256, `left_out` counts the sentences of train that are like held-out ones, `steps` those
    that trained on it; `dev_f1` is that of its own head at the end.
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
    params: Params, names: Sequence[Path], held_out: Sequence[Path], steps: int, out: Path
) -> PretrainingRecord:
    """Pretrains params.model.encoder on the corpora in these folders and writes it to `out`.

    A run that was killed continues from its last checkpoint. Raises DataError, EncoderError and ParamsError, and
    FpplmError if the loss is not finite.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError("already there", where=str(out), do="name a new folder, or remove it")
    set_up_torch()
    encoder = pretrained.load_encoder(params.model.encoder, params.model.revision)
    before = weights_sha256(encoder)
    with TemporaryDirectory() as scratch:
        corpora = read_corpora(params.data, names, held_out, Path(scratch))
        data = encode_corpora(params, corpora)
        blueprints, device = [one.blueprint for one in data], choose_device(params.train.device)
        tagger = tagger_of_corpora(encoder, blueprints, params.model, params.train.seed).to(device)
        data = restrict_vocabulary(tagger, *data)
        lengths = [[len(window.ids) for window in one.windows] for one in data]
        drawn = draw_steps(lengths, params.train.batch_pieces, steps, params.train.seed)
        files = [{file.name: hash_file(file) for file in corpus.files} for corpus in corpora]
        others = {str(file): hash_file(file) for file in held_out}
        checkpoint = checkpoint_of(params, before, str(files), str(others), str(steps))
        state, loop = train(params, tagger, data, drawn, checkpoint)
        with averaged(state.average, tagger):
            scores = dev_scores(params, state, data, loop.bfloat16)
            tagger.restore_vocabulary()
            mark_shapes(encoder, tagger.blueprint.first_shape)
            own = Counter(step.corpus for step in drawn)
            rows = [
                CorpusRecord(name.name, hashes, corpus.kept, corpus.left_out, own[number], scores[number])
                for number, (name, hashes, corpus) in enumerate(zip(names, files, corpora, strict=True))
            ]
            seed, after = params.train.seed, weights_sha256(encoder)
            record = PretrainingRecord(params.model.encoder, before, after, seed, steps, loop.precision, others, rows)
            with whole_folder(out) as folder:
                encoder.to("cpu").save_pretrained(folder)
                pretrained.load_tokenizer(params.model.encoder, params.model.revision).save_pretrained(folder)
                write_record(folder / RECORD, record)
    checkpoint.remove()
    return record


def checkpoint_of(params: Params, *inputs: str) -> Checkpoint:
    """The checkpoint of the pretraining with these inputs, settings and code."""
    sections = (params.data, params.model, params.encode, params.train)
    settings = "\n".join([*(section.model_dump_json() for section in sections), *inputs])
    code = code_digest([fingerprint("fpplm.session.pretraining")])
    return Checkpoint.of({"pretraining": hashlib.sha256(settings.encode()).hexdigest(), "code": code})


def train(
    params: Params, tagger: Tagger, data: Sequence[TrainingData], drawn: Sequence[Step], checkpoint: Checkpoint
) -> tuple[TrainingState, LoopSettings]:
    """Trains plainly for the drawn steps, from the checkpoint if there is one. Raises FpplmError as `train_steps`."""
    checkpoint.discard_damaged()
    history = checkpoint.history()
    if history.bfloat16 is None:
        history.bfloat16 = choose_precision(params.train, tagger, data[0])
    numbers = params.train.model_dump(include=set(LoopSettings.__dataclass_fields__))
    numbers |= {"warmup": warmup_of(params.train, len(drawn)), "steps": len(drawn), "bfloat16": history.bfloat16}
    loop = LoopSettings(**numbers)
    state = initial_state(tagger, {}, loop)
    if history.step:
        state.restore(checkpoint.tensors())
        print(f"resumed at step {history.step} of {loop.steps}")
    reports = train_steps(state, lambda step: batch_of(drawn[step], tagger, data), {}, loop, history.step)
    for report in track(reports, "steps", loop.steps - history.step, lambda _: 1):
        history.step = report.step + 1
        if history.step % params.train.checkpoint_steps == 0 or history.step == loop.steps:
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
