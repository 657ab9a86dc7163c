"""Runs one cell of an ablation: prepares its data, runs its stages in their own folder, reads its result."""

from __future__ import annotations

import copy
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock

from fpplm.pipeline.parent import WATCHED
from fpplm.pipeline.paths import CORPUS, ENCODED, EPOCHS, METRICS, PARAMS, PREDICTIONS
from fpplm.pipeline.start import PRODUCTION
from fpplm.studies.ablation import PREPARE, SCRATCH, Cell
from fpplm.studies.ledger import LedgerRow, packed
from fpplm.studies.search import falls_behind
from fpplm_core.data.corpus import load_corpus, write_corpus
from fpplm_core.data.records import Sentence
from fpplm_core.errors import FpplmError, TrainingDiverged
from fpplm_core.evaluation.metrics import SentenceCounts
from fpplm_core.files import read_json, whole_folder
from fpplm_core.settings import yaml_text
from fpplm_core.tagging.spans import spans_from_tags, tags_from_spans, types_of

PREPARED = SCRATCH / "prepared"
SCORES = ("f1", "precision", "recall", "seen_f1", "unseen_f1", "illegal_paths", "calibration_error")
WATCH_EVERY = 0.2  # seconds

Watch = Callable[[list[float]], bool]  # whether to prune a trial, given its dev F1 by epoch


class Usage(NamedTuple):
    """What a module took: seconds and peak memory in KiB; whether the trial ended early, and because it diverged."""

    seconds: float
    peak_kb: int
    pruned: bool = False
    diverged: bool = False


def run_here(cell: Cell, threads: int | None, facts: dict[str, Any], finished: list[LedgerRow]) -> LedgerRow:
    """Runs the stages of a cell on this machine in a scratch folder, with this number of threads (None: all cores).

    It may be pruned by what has finished, also while it runs. `facts` are further fields of its row. Raises FpplmError
    if a stage fails, with the end of its log.
    """
    folder = SCRATCH / cell.key
    shutil.rmtree(folder, ignore_errors=True)  # left by a killed run; resuming it would record too few seconds
    (folder / CORPUS).parent.mkdir(parents=True)
    data = prepared(cell, threads).resolve()
    for part in (CORPUS, ENCODED):
        (folder / part).symlink_to(data / part)
    write_params(cell, folder)
    training, *scoring = cell.modules
    usage = run_stage_module(training, folder, threads, cell, partial(should_prune, finished, cell))
    if not usage.pruned:
        for module in scoring:
            run_stage_module(module, folder, threads, cell)
    row = result(cell, folder, facts, usage)
    shutil.rmtree(folder)
    return row


def prepared(cell: Cell, threads: int | None) -> Path:
    """The folder with the cell's corpus, read and encoded; cells with the same data share it. Raises FpplmError."""
    folder = PREPARED / cell.data_key
    PREPARED.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # others may prepare the same, in this process or in another
        if not folder.exists():
            with whole_folder(folder) as partial:
                write_params(cell, partial)
                for module in PREPARE:
                    run_stage_module(module, partial, threads, cell)
                    if module == PREPARE[0]:
                        change_data(cell, partial)
    return folder


def write_params(cell: Cell, folder: Path) -> None:
    """Writes the cell's params.yaml, with absolute paths of its folders."""
    settings = copy.deepcopy(cell.settings)
    if settings["model"].get("start") == PRODUCTION:  # what a study compares does not change with what is promoted
        settings["model"]["start"] = None
    for section, name in (("data", "path"), ("data", "unlabelled"), ("model", "encoder"), ("model", "start")):
        path = Path(str(settings[section].get(name)))
        if path.is_dir():  # otherwise not set, or the name of a package or of a model on the hub
            settings[section][name] = str(path.resolve())
    (folder / PARAMS).write_text(yaml_text(settings), encoding="utf-8")


def run_stage_module(module: str, folder: Path, threads: int | None, cell: Cell, watch: Watch | None = None) -> Usage:
    """Runs `python -m MODULE` in the folder, until it ends or `watch` prunes it. Raises FpplmError if it fails.

    A trial that diverges counts as pruned, because the same values would diverge again.
    """
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), WATCHED: str(os.getpid())}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    log, start = folder / "log.txt", time.perf_counter()
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
        seen, pruned = 0, False
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            if watch and not pruned and len(curve := read_curve(folder)) > seen:
                seen, pruned = len(curve), watch(curve)
                if pruned:
                    os.kill(process.pid, signal.SIGTERM)  # process.terminate() would reap one that has just ended
            time.sleep(WATCH_EVERY)
    _, status, usage = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    pruned &= process.returncode != 0  # it may have ended by itself before the signal
    diverged = process.returncode == TrainingDiverged.exit_code and cell.trial is not None
    if process.returncode and not pruned and not diverged:
        end = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise FpplmError(
            f"{module} failed", where=f"{cell.corpus}, {cell.arm}, seed {cell.seed}", got=end, do=f"read {log}"
        )
    return Usage(time.perf_counter() - start, usage.ru_maxrss, pruned or diverged, diverged)


def read_curve(folder: Path) -> list[float]:
    """Dev F1 of each finished epoch of the training in this folder."""
    file = folder / EPOCHS
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [float(row["dev_f1"]) for row in csv.DictReader(lines)]


def should_prune(finished: list[LedgerRow], cell: Cell, curve: Sequence[float]) -> bool:
    """Whether to prune a running cell with this dev F1 by epoch; only a trial with drawn values is ever pruned."""
    own = cell.corpus, cell.arm
    others = [row.curve for row in finished if row.trial is not None and (row.corpus, row.arm) == own]
    return is_drawn(cell) and falls_behind(curve, cell.settings["train"], others)


def is_drawn(cell: Cell) -> bool:
    """Whether the cell is a trial with drawn values."""
    return cell.trial is not None and bool(cell.values)


def change_data(cell: Cell, folder: Path) -> None:
    """Reduces train and dev to the cell's sentences, adds its label noise to train, and empties test unless final."""
    train = spread(load_corpus("train", folder / CORPUS), cell.train_sentences)
    write_corpus(folder / CORPUS / "train.parquet", mislabelled(train, cell.noise))
    dev = spread(load_corpus("dev", folder / CORPUS), cell.dev_sentences)
    write_corpus(folder / CORPUS / "dev.parquet", dev)
    if not cell.final:
        write_corpus(folder / CORPUS / "test.parquet", [])


def spread(sentences: list[Sentence], number: int | None) -> list[Sentence]:
    """This many sentences, evenly spread from the first to the last."""
    if number is None or number >= len(sentences):
        return sentences
    return [sentences[place * len(sentences) // number] for place in range(number)]


def mislabelled(sentences: list[Sentence], share: float) -> list[Sentence]:
    """The sentences with this share of their mentions changed to another type or removed, the same for every arm."""
    if not share:
        return sentences
    random = np.random.default_rng(0)
    types: list[str | None] = [*types_of(s.tags for s in sentences), None]
    changed = []
    for sentence in sentences:
        kept = []
        for span in spans_from_tags(sentence.tags):
            kind: str | None = span.type
            if random.random() < share:
                others = [other for other in types if other != span.type]
                kind = others[random.integers(len(others))]
            if kind is not None:
                kept.append(span._replace(type=kind))
        changed.append(replace(sentence, tags=tuple(tags_from_spans(kept, len(sentence.words), "IOB2"))))
    return changed


def result(cell: Cell, folder: Path, facts: dict[str, Any], usage: Usage) -> LedgerRow:
    """The row of a cell in the ledger, read from the files of its stages."""
    curve = read_curve(folder)
    trained = {"dev_f1": max(curve, default=0.0)} if usage.pruned else read_json(folder / METRICS / "train.json")
    row = LedgerRow(
        key=cell.key,
        code=cell.code,
        corpus=cell.corpus,
        arm=cell.arm,
        seed=cell.seed,
        dev_f1=trained["dev_f1"],
        curve=[round(f1, 4) for f1 in curve],
        seconds=round(trained.get("seconds", usage.seconds), 1),  # the Trainer scores in the same process
        peak_mb=usage.peak_kb // 1024,
        trial=cell.trial,
        values=cell.values,
        pruned=usage.pruned,
        diverged=usage.diverged,
        **facts,
    )
    if not cell.final:
        return row
    scores = read_json(folder / METRICS / "evaluate.json")["test"]
    counts = counts_by_document(folder / PREDICTIONS / "test.jsonl", load_corpus("test", folder / CORPUS))
    return replace(row, test={key: round(scores[key], 5) for key in SCORES}, counts=packed(counts))


def counts_by_document(predictions: Path, sentences: list[Sentence]) -> SentenceCounts:
    """tp, fp and fn of each document, or of each sentence if fewer than two are marked. *Shape:* (units, 3).

    A sentence outside the marked documents is a unit of its own.
    """
    documents = len({sentence.document for sentence in sentences} - {None}) > 1
    lines = map(json.loads, predictions.read_text(encoding="utf-8").splitlines())
    units: dict[Any, Any] = {}
    for number, (row, sentence) in enumerate(zip(lines, sentences, strict=True)):
        unit = ("sentence", number) if not documents or sentence.document is None else ("document", sentence.document)
        units[unit] = units.get(unit, 0) + np.array([row["tp"], row["fp"], row["fn"]])
    return np.array(list(units.values()))
