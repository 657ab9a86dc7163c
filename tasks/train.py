"""train: fine-tunes the encoder and writes the best averaged weights, build/model, with their decoder and curves."""

from __future__ import annotations

from fpplm.pipeline import paths, stage
from fpplm.session.checkpoint import Checkpoint, run_inputs, training_lock
from fpplm.session.processes import own_rank, process_group, require_same_inputs, run_in_processes
from fpplm.session.progress import CURVES
from fpplm.session.training import fit
from fpplm_core.data.settings import EncodeSettings
from fpplm_core.files import write_json, write_record
from fpplm_core.model.pretrained import load_encoder
from fpplm_core.model.settings import ModelSettings
from fpplm_core.training.result import finish_run
from fpplm_core.training.settings import TechniqueSettings, TrainSettings
from fpplm_core.training.start import untrained_tagger, write_origin


def train(model: ModelSettings, encode: EncodeSettings, train: TrainSettings, technique: TechniqueSettings) -> None:
    if run_in_processes(train.processes):
        return
    with training_lock(own_rank()):
        inputs = run_inputs(model, encode, train, technique)
        checkpoint = Checkpoint.of(inputs)
        with process_group(train.processes, train.device) as device:
            require_same_inputs(inputs)
            run, history = fit(model, train, technique, checkpoint, device)
        if own_rank():
            return
        encoder = load_encoder(model.encoder, model.revision)
        untrained = untrained_tagger(encoder, run.data.blueprint, model, train.seed, run.data.descriptions, run.start)
        result = finish_run(run, history, checkpoint.best(), untrained, paths.MODEL)
        write_json(CURVES / "findings.json", result.findings.to_dict())
        write_record(paths.METRICS / "train.json", result.metrics)
        write_origin(
            paths.MODEL,
            paths.CORPUS,
            paths.ENCODED / "tokenizer.json",
            run.start,
            encoder_sha256=run.encoder_sha256,
            model_sha256=result.metrics.model_sha256,
        )
        checkpoint.remove()


if __name__ == "__main__":
    stage.run(train)
