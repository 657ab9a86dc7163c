"""Runs one cell of an ablation: prepares its data, runs its stages in their own folder, reads its result."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from fpplm.pipeline.parent import WATCHED
from fpplm.pipeline.paths import CORPUS, METRICS, PREDICTIONS
from fpplm.studies.ablation import ROOT, SCRATCH, Cell
from fpplm.studies.ledger import LedgerRow
from fpplm_core.data.corpus import load_corpus, write_corpus
from fpplm_core.data.records import Sentence
from fpplm_core.errors import FpplmError
from fpplm_core.files import read_json
from fpplm_core.tagging.spans import spans_from_tags, tags_from_spans, types_of

TRAINING = ("tasks.train", "benchmarks.peers.trainer")  # the modules whose time and memory go into the ledger
SCORES = ("f1", "precision", "recall", "seen_f1", "unseen_f1", "illegal_paths", "calibration_error")


def run_cell(cell: Cell, threads: int | None, commit: str | None) -> LedgerRow:
    """Runs the stages of a cell in a scratch folder, with this number of threads (None: all cores).

    Raises FpplmError if one fails, with the end of its log.
    """
    folder = SCRATCH / cell.key
    folder.mkdir(parents=True, exist_ok=True)
    write_params(cell, folder)
    seconds, memory = 0.0, 0
    for module in cell.modules:
        start = time.perf_counter()
        peak = run_stage_module(module, folder, threads, cell)
        if module[0] == "tasks.read":
            change_data(cell, folder)
        if module[0] in TRAINING:
            seconds, memory = time.perf_counter() - start, peak
    row = result(cell, folder, commit, seconds, memory // 1024)
    shutil.rmtree(folder)
    return row


def write_params(cell: Cell, folder: Path) -> None:
    """Writes the cell's params.yaml, with data and encoder by their absolute paths."""
    settings = copy.deepcopy(cell.settings)
    settings["data"]["path"] = str((ROOT / settings["data"]["path"]).resolve())
    encoder = ROOT / settings["model"]["encoder"]
    if encoder.is_dir():  # else the name of a package or of a model on the hub
        settings["model"]["encoder"] = str(encoder.resolve())
    (folder / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def run_stage_module(module: list[str], folder: Path, threads: int | None, cell: Cell) -> int:
    """Runs `python -m MODULE` in the folder; returns its peak memory in KB. Raises FpplmError if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), WATCHED: str(os.getpid())}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    log = folder / "log.txt"
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", *module], cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        end = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise FpplmError(f"{module[0]} failed", where=f"{cell.corpus}, {cell.arm}, seed {cell.seed}", got=end)
    return usage.ru_maxrss


def change_data(cell: Cell, folder: Path) -> None:
    """Reduces train and dev to the cell's part, with its share of wrong labels in train."""
    train = spread(load_corpus("train", folder / CORPUS), cell.train_sentences)
    write_corpus(folder / CORPUS / "train.parquet", mislabelled(train, cell.noise))
    dev = spread(load_corpus("dev", folder / CORPUS), cell.dev_sentences)
    write_corpus(folder / CORPUS / "dev.parquet", dev)


def spread(sentences: list[Sentence], number: int | None) -> list[Sentence]:
    """This many sentences, evenly spread from the first to the last."""
    if number is None or number >= len(sentences):
        return sentences
    return [sentences[place * len(sentences) // number] for place in range(number)]


def mislabelled(sentences: list[Sentence], share: float) -> list[Sentence]:
    """The sentences with this share of their mentions given another type, or none; the same ones for every arm."""
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


def result(cell: Cell, folder: Path, commit: str | None, seconds: float, peak_mb: int) -> LedgerRow:
    """The line of a cell in the ledger, read from the files of its stages."""
    scores, trained = read_json(folder / METRICS / "evaluate.json"), read_json(folder / METRICS / "train.json")
    lines = (folder / PREDICTIONS / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return LedgerRow(
        key=cell.key,
        code=cell.code,
        commit=commit,
        corpus=cell.corpus,
        arm=cell.arm,
        seed=cell.seed,
        dev_f1=trained["dev_f1"],
        test={key: scores["test"][key] for key in SCORES},
        counts=[[row["tp"], row["fp"], row["fn"]] for row in map(json.loads, lines)],
        seconds=seconds,
        peak_mb=peak_mb,
    )
