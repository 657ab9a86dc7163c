"""train: fine-tunes the encoder and writes the best averaged weights, build/model, with its decoder and curves."""

from __future__ import annotations

import numpy as np
import torch

from fpplm.pipeline.paths import METRICS, MODEL
from fpplm.pipeline.stage import run
from fpplm.session.checkpoint import Checkpoint, alone
from fpplm.session.progress import CURVES
from fpplm.session.training import fit, help_to_train
from fpplm_core.files import write_json, write_tensors
from fpplm_core.model import parallel
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.tagger import initialise
from fpplm_core.params import load
from fpplm_core.training.averaging import averaged
from fpplm_core.training.run import load_encoder, look_at_dev, group_movement, prepare_run
from fpplm_core.training.selection import correct_bias


def main() -> None:
    with alone():
        train()


def train() -> None:
    settings = load()
    checkpoint = Checkpoint.of(settings.model_dump_json(include={"model", "encode", "train", "technique"}))
    if checkpoint.discard_damaged():
        print(f"{checkpoint.folder}: damaged, thrown away; training starts anew", flush=True)
    history = checkpoint.history()
    started = prepare_run(settings, history.get("bfloat16"))
    state, active, plan, data = started.state, started.active, started.plan, started.data
    history["bfloat16"] = plan.bfloat16
    precision = "bfloat16" if plan.bfloat16 else "float32"
    with parallel.process_group(settings.train.processes, started.device, help_to_train, checkpoint, plan.bfloat16):
        print(f"device {started.device.type}, {parallel.size()} × {torch.get_num_threads()} threads, {precision}")
        fit(started, settings.train, checkpoint, history)

    model = state.model
    state.average = {name: value.to(started.device) for name, value in checkpoint.best().items()}
    findings = {name: technique.findings(state.modules(name)) for name, technique in active.items()}
    phases = {name: technique.phases(len(data.batches_by_step)) for name, technique in active.items()}
    with averaged(state.average, model, state.technique_modules):
        outcome = look_at_dev(started, settings.train)
        outcome, corrected = correct_bias(model, active, data.dev, outcome)
        model.restore_vocabulary()
        first = initialise(load_encoder(settings.model), data.blueprint, settings.model, settings.train.seed)
        findings["phases"] = {"learning rate": {"rises": (0.0, plan.warmup), "falls": (plan.warmup, 1.0)}} | phases
        findings["movement"] = group_movement(model, first)
        write_tensors(MODEL / "model.safetensors", model.state_dict())
        write_tensors(MODEL / "extras.safetensors", state.technique_modules.state_dict())
        trained = weights_sha256(model)
    write_json(MODEL / "blueprint.json", vars(data.blueprint))
    np.save(MODEL / "transitions.npy", outcome.scores)
    write_json(CURVES / "findings.json", findings)
    write_json(
        METRICS / "train.json",
        {
            "dev_f1": outcome.f1,
            "bias_corrected": corrected,
            "best_epoch": history["best_epoch"],
            "epochs": len(history["dev_f1"]),
            "steps": history["step"],
            "precision": precision,
            "threads": torch.get_num_threads(),
            "encoder_sha256": started.source,
            "model_sha256": trained,
        },
    )
    checkpoint.remove()


if __name__ == "__main__":
    run(main)
