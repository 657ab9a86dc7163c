"""train: fine-tunes the encoder and writes the best averaged weights, build/model, with its decoder and curves."""

from __future__ import annotations

import ctypes
import itertools
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fpplm_core import params, pretrained, techniques
from fpplm_core.batching import collate, epoch_batches, renumbered, shown_pieces
from fpplm_core.contract import IGNORED, Batch, Technique, averaged
from fpplm_core.decoding import decode, leaning, legality_scores, softmax, word_logits
from fpplm_core.encoding import Window
from fpplm_core.labels import INNER_SCHEME, lenient_spans, to_tags, transitions
from fpplm_core.metrics import count, total
from fpplm_core.model import Blueprint, Tagger, choose_device, fingerprint, initialise, runner
from fpplm_core.params import ModelParams, TrainParams
from fpplm_core.training import Settings, State, prepare, train_steps
from tasks import ENCODED, METRICS, MODEL, read_json, run, write_json, write_tensors
from tasks.checkpoint import Checkpoint, alone
from tasks.encode import load_windows
from tasks.progress import CURVES, Display
from tasks.read import load_corpus


def main() -> None:
    with alone():
        train()


def train() -> None:
    settings = params.load()
    device = choose_device(settings.train.device)
    keep_freed_memory()
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # only matters to code that reads such memory
    data = load_data(settings.train)
    checkpoint = Checkpoint.of(settings.model_dump_json(include={"model", "encode", "train", "technique"}))
    history = checkpoint.history()

    encoder = load_encoder(settings.model)
    source = fingerprint(encoder)
    model = initialise(encoder, data.blueprint, settings.model, settings.train.seed).to(device)
    data = keep_shown(model, data)
    bfloat16 = history.get("bfloat16")
    if bfloat16 is None:
        bfloat16 = choose_precision(settings.train, model, data)
    history["bfloat16"] = bfloat16
    print(f"device {device.type}, {torch.get_num_threads()} threads, {'bfloat16' if bfloat16 else 'float32'}")

    numbers = settings.train.model_dump(include=set(Settings.__dataclass_fields__))
    plan = Settings(**numbers, steps=data.steps, bfloat16=bfloat16)
    active = techniques.build(settings.technique)
    state = prepare(model, active, plan)
    history = fit(state, active, plan, settings.train, data, checkpoint, history)

    state.average = {name: value.to(device) for name, value in checkpoint.best().items()}
    findings = {name: technique.findings(state.modules(name)) for name, technique in active.items()}
    phases = {name: technique.phases(data.steps) for name, technique in active.items()}
    with averaged(state.average, model, state.extras):
        outcome = try_on_dev(state, active, data, settings.train, bfloat16)
        outcome, corrected = correct_bias(model, active, data, outcome)
        model.all_pieces()
        start = initialise(load_encoder(settings.model), data.blueprint, settings.model, settings.train.seed)
        findings["phases"] = {"learning rate": {"rises": (0.0, plan.warmup), "falls": (plan.warmup, 1.0)}} | phases
        findings["movement"] = movement(model, start)
        write_tensors(MODEL / "model.safetensors", model.state_dict())
        write_tensors(MODEL / "extras.safetensors", state.extras.state_dict())
        trained = fingerprint(model)
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
            "precision": "bfloat16" if bfloat16 else "float32",
            "encoder_sha256": source,
            "model_sha256": trained,
        },
    )
    checkpoint.remove()


def keep_freed_memory() -> None:
    """Has glibc keep what is freed: a step needs the sizes of the last one, and new pages cost a tenth of its time."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc alone has it; its numbers for the two are those of malloc.h
        mmap_threshold, trim_threshold = -3, -1
        libc.mallopt(mmap_threshold, 32 * 2**20)  # bytes; the most that it takes
        libc.mallopt(trim_threshold, 2**31 - 1)


def load_encoder(settings: ModelParams) -> Any:
    return pretrained.load_encoder(settings.encoder, settings.revision, settings.attention)


class Data(NamedTuple):
    """The training windows with their labels, the plan of all epochs, and dev with its gold spans."""

    blueprint: Blueprint
    windows: list[Window]
    tags: list[list[int]]
    second: list[list[int]]
    epochs: list[list[list[int]]]
    dev: list[Window]
    dev_lengths: list[int]
    dev_spans: list[list[Any]]

    @property
    def steps(self) -> int:
        return sum(len(epoch) for epoch in self.epochs)


def load_data(settings: TrainParams) -> Data:
    windows, tags, second = load_windows("train")
    lengths = [len(window.ids) for window in windows]
    epochs = [epoch_batches(lengths, settings.batch_pieces, settings.seed, e) for e in range(settings.epochs)]
    if (ENCODED / "second.parquet").exists():
        apart = load_windows("second")
        epochs = deal(epochs, [len(window.ids) for window in apart.windows], settings, len(windows))
        windows, tags = windows + apart.windows, tags + [[]] * len(apart.windows)
        second = second + apart.second
    dev = load_corpus("dev")
    encoding = read_json(ENCODED / "encoding.json")
    return Data(
        blueprint=Blueprint(**{name: encoding[name] for name in Blueprint.__dataclass_fields__}),
        windows=windows,
        tags=tags,
        second=second,
        epochs=epochs,
        dev=load_windows("dev").windows,
        dev_lengths=[len(s.words) for s in dev],
        dev_spans=[lenient_spans(s.tags) for s in dev],
    )


def keep_shown(model: Tagger, data: Data) -> Data:
    """Sets aside the embeddings of pieces that neither train nor dev shows; the data with the new ids."""
    pieces = shown_pieces([*data.windows, *data.dev], data.blueprint.mask_id)
    model.keep_pieces(torch.from_numpy(pieces).to(next(model.parameters()).device))
    return data._replace(windows=renumbered(data.windows, pieces), dev=renumbered(data.dev, pieces))


def deal(epochs: list[list[list[int]]], lengths: list[int], settings: TrainParams, first: int) -> list[list[list[int]]]:
    """The batches, each with windows of the second task's own corpus, numbered from `first`: half a batch's pieces."""
    budget = settings.batch_pieces // 2
    rounds = (epoch_batches(lengths, budget, settings.seed, number) for number in itertools.count())
    own = itertools.chain.from_iterable(rounds)
    return [[rows + [first + row for row in next(own)] for rows in epoch] for epoch in epochs]


def make_batch(data: Data, rows: Sequence[int]) -> Batch:
    arrays = collate([data.windows[row] for row in rows])

    def table(values: list[list[int]]) -> Tensor:
        filled = np.full(arrays.first.shape, IGNORED, dtype=np.int64)
        for place, row in enumerate(rows):
            filled[place, : len(values[row])] = values[row]
        return torch.from_numpy(filled)

    second = table(data.second) if data.blueprint.second else None
    return Batch(*(torch.from_numpy(array) for array in arrays), table(data.tags), second)


def choose_precision(settings: TrainParams, model: Tagger, data: Data) -> bool:
    """True for bfloat16: as asked, or where forward and backward passes are measured at least 1.2 times as fast."""
    if settings.precision != "auto":
        return settings.precision == "bfloat16"
    device = next(model.parameters()).device
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    batch = make_batch(data, data.epochs[0][0])
    seconds: dict[bool, list[float]] = {False: [], True: []}
    model.eval()
    for _ in range(6):  # interleaved; the first pair is a warm-up, enough to see bfloat16 that is only emulated
        for kind, taken in seconds.items():
            start = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=kind):
                model.classify(model.encode(batch.ids, batch.mask, batch.types)).sum().backward()
            taken.append(time.perf_counter() - start)
            model.zero_grad(set_to_none=True)
        if seconds[True][0] > 5 * seconds[False][0]:
            return False
    return min(seconds[False]) > 1.2 * min(seconds[True])  # other work on the machine can only make a step longer


def fit(
    state: State,
    active: dict[str, Technique],
    plan: Settings,
    settings: TrainParams,
    data: Data,
    checkpoint: Checkpoint,
    history: dict[str, Any],
) -> dict[str, Any]:
    """Runs the loop: logs, evaluates each epoch, keeps the best weights, saves and stops."""
    order = [rows for epoch in data.epochs for rows in epoch]
    ends = set(np.cumsum([len(epoch) for epoch in data.epochs]).tolist())
    if history["step"]:
        state.restore(checkpoint.tensors())
        print(f"going on from step {history['step']} of {plan.steps}", flush=True)
    with Display(plan.steps, history) as display:
        if history["stopped"]:
            return history
        began, trained = time.perf_counter(), 0
        for report in train_steps(state, lambda n: make_batch(data, order[n]), active, plan, history["step"]):
            step = report.step + 1
            losses = {name: float(value) for name, value in report.losses.items()}
            history["step"] = step
            history["losses"].append(losses)
            history["lr"].append(report.lr)
            trained += sum(len(data.windows[row].words) for row in order[report.step])
            speed = trained / (time.perf_counter() - began)
            display.step(step, losses, report.lr, speed)
            if step in ends:
                with averaged(state.average, state.model, state.extras):
                    score = try_on_dev(state, active, data, settings, plan.bfloat16).f1
                history["dev_f1"].append([step, score])
                epoch = len(history["dev_f1"])
                if score > history["best_f1"]:
                    history["best_f1"], history["best_epoch"] = score, epoch
                    checkpoint.save_best(state)
                history["stopped"] = epoch - history["best_epoch"] >= settings.patience or step == plan.steps
                display.epoch(step, epoch, score, speed)
            if step in ends or step % settings.checkpoint_steps == 0:
                checkpoint.save(state, history)
            if history["stopped"]:
                break
    return history


class Outcome(NamedTuple):
    """Dev's span F1, its logits (words, K) by sentence, and the transition scores (K+1, K+1) of the decoder."""

    f1: float
    logits: list[NDArray[np.float32]]
    scores: NDArray[np.float32]


def try_on_dev(
    state: State, active: dict[str, Technique], data: Data, settings: TrainParams, bfloat16: bool
) -> Outcome:
    """Dev under the model's weights as they are, and the decoder that serving uses."""
    logits = word_logits(data.dev, data.dev_lengths, 4 * settings.batch_pieces, runner(state.model, bfloat16))
    scores = legality_scores(transitions(data.blueprint.labels))
    for name, technique in active.items():
        learned = technique.transitions(state.modules(name))
        if learned is not None:
            scores[:-1, :-1] += learned.cpu().numpy()
    f1 = dev_f1(data, logits, scores)
    if f1 and settings.lean:
        scores = leaning(scores, f1, settings.lean)
        f1 = dev_f1(data, logits, scores)
    return Outcome(f1, logits, scores)


def dev_f1(data: Data, logits: list[NDArray[np.float32]], scores: NDArray[np.float32]) -> float:
    labels = data.blueprint.labels
    found = [lenient_spans([labels[label] for label in path]) for path in decode(logits, scores)]
    return total(count(gold, spans) for gold, spans in zip(data.dev_spans, found, strict=True)).f1


@torch.no_grad()
def correct_bias(
    model: Tagger, active: dict[str, Technique], data: Data, outcome: Outcome
) -> tuple[Outcome, dict[str, bool]]:
    """Adds the label biases that techniques propose to the head, each where it does not lower dev F1."""
    labels = data.blueprint.labels
    index = {label: number for number, label in enumerate(labels)}
    rows = [to_tags(spans, n, INNER_SCHEME) for spans, n in zip(data.dev_spans, data.dev_lengths, strict=True)]
    gold = [index.get(tag, 0) for tags in rows for tag in tags]
    last = [layer for layer in model.head.modules() if isinstance(layer, torch.nn.Linear)][-1]
    taken = {}
    for name, technique in active.items():
        seen = torch.from_numpy(softmax(np.concatenate(outcome.logits)))
        bias = technique.label_bias(seen, torch.tensor(gold))
        if bias is not None:
            shifted = [values + bias.numpy() for values in outcome.logits]
            score = dev_f1(data, shifted, outcome.scores)
            taken[name] = score >= outcome.f1
            if taken[name]:
                outcome = Outcome(score, shifted, outcome.scores)
                last.bias += bias.to(last.bias)
    return outcome, taken


@torch.no_grad()
def movement(model: Tagger, start: Tagger) -> list[dict[str, Any]]:
    """How far each group of weights went: ‖θ − θ0‖ / ‖θ0‖."""
    before = dict(start.named_parameters())
    rows = []
    for group in model.groups():
        moved = sum(float((p.cpu() - before[name]).square().sum()) for name, p in group.parameters.items())
        size = sum(float(before[name].square().sum()) for name in group.parameters)
        rows.append({"group": group.name, "relative_change": (moved / size) ** 0.5})
    return rows


if __name__ == "__main__":
    run(main)
