"""Ten nights of new data: training from the encoder each night (cold) against continuing from the last night's model.

    python -m benchmarks.studies.nights FOLDER [NAME ...] [--arm ARM] [--nights N] [--seeds N] [--techniques]

FOLDER/NAME has train.conll, dev.conll and test.conll; without names, those of CORPORA. Night 0 has BASE of train, each
of ten further nights a tenth of the rest. Sentences with the type of CORPORA come in the first half of train alone, so
that the type gets rare. Dev and test stay as they are. Each night runs the stages read, encode, train and evaluate;
plain fine-tuning, or with --techniques those of params.yaml.

An arm is the number of nights after which it starts from the encoder again: cold 1, warm never. Results are appended to
benchmarks/results/nights.jsonl, a line for each night of an arm; those that are there already are not made again,
unless a later night starts from a model that is missing. `python -m benchmarks.studies.nights_results` makes table and
figure.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.harness.machine import RESULTS
from fpplm_core.data.formats import get
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import FpplmError
from fpplm_core.files import append_json_line, read_json, read_json_lines
from fpplm_core.settings import read_yaml, yaml_text
from fpplm_core.tagging.spans import spans_from_tags

ROOT = Path(__file__).parents[2]
FILE = RESULTS / "nights.jsonl"
SCRATCH = Path("build/nights")
CORPORA = {"wikigold": "MISC", "wnut17": "product"}  # and the type that gets rare
ARMS = {"cold": 1, "warm": None, "cold every 5": 5}
NIGHTS = 10
BASE = 0.4  # of train


class Study:
    """One corpus and seed; `name` is also that of its folder."""

    def __init__(self, source: Path, seed: int, techniques: bool) -> None:
        self.source, self.seed, self.corpus = source, seed, source.name
        self.techniques = techniques
        self.folder = SCRATCH / f"{self.corpus}-{seed}{'-techniques' if techniques else ''}"
        self.rare = CORPORA.get(self.corpus, "")
        self.order = ordered(list(get("conll").read(source / "train.conll", Options())), self.rare, seed)

    def play(self, arm: str, nights: int) -> None:
        """Every night of an arm that has no result yet."""
        for night in range(nights + 1):
            row = {"corpus": self.corpus, "techniques": self.techniques, "seed": self.seed, "arm": arm, "night": night}
            if any(row.items() <= other.items() for other in read_json_lines(FILE)):
                continue
            every = ARMS[arm]
            row |= read_json(self.trained(night - night % every if every else 0, night) / "result.json")
            print(row, flush=True)
            append_json_line(FILE, row)

    def trained(self, first: int, night: int) -> Path:
        """The folder of the night's training in the chain that started cold on night `first`; arms share it."""
        folder = self.folder / f"{first}-{night}"
        if not (folder / "result.json").exists():
            self.train(folder, night, self.trained(first, night - 1) / "build/model" if night > first else None)
        return folder

    def train(self, folder: Path, night: int, start: Path | None) -> None:
        """Trains and scores; writes `result.json`."""
        shutil.rmtree(folder, ignore_errors=True)  # left by a killed run, whose seconds would not count
        (folder / "build").mkdir(parents=True)
        data = self.prepared(night)
        for part in ("corpus", "encoded"):
            (folder / "build" / part).symlink_to((data / "build" / part).resolve())
        self.write_params(folder, data, start)
        began = time.perf_counter()
        run("train", folder)
        seconds = time.perf_counter() - began
        run("evaluate", folder)
        trained, scores = read_json(folder / "metrics/train.json"), read_json(folder / "metrics/evaluate.json")
        test = scores["test"]
        found = {
            "sentences": self.count(night),
            "seconds": round(seconds, 1),
            "steps": trained["steps"],
            "dev_f1": round(100 * trained["dev_f1"], 2),
            "test_f1": round(100 * test["f1"], 2),
            "rare_f1": round(100 * test["types"][self.rare]["f1"], 2) if self.rare in test["types"] else None,
        }
        (folder / "result.json").write_text(json.dumps(found), encoding="utf-8")

    def count(self, night: int) -> int:
        """The sentences of train on a night."""
        share = BASE + (1 - BASE) * night / NIGHTS
        return round(share * len(self.order))

    def prepared(self, night: int) -> Path:
        """The folder with a night's data, read and encoded, which the arms share."""
        folder = self.folder / f"night-{night}"
        if not (folder / "build/encoded/encoding.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "data").mkdir(parents=True)
            get("conll").write(iter(self.order[: self.count(night)]), folder / "data/train.conll")
            for split in ("dev", "test"):
                shutil.copyfile(self.source / f"{split}.conll", folder / f"data/{split}.conll")
            self.write_params(folder, folder, None)
            for stage in ("read", "encode"):
                run(stage, folder)
        return folder

    def write_params(self, folder: Path, data: Path, start: Path | None) -> None:
        values = read_yaml(ROOT / "params.yaml")
        values["data"] |= {"path": str((data / "data").resolve()), "train": "train.conll"}
        values["model"]["start"] = str(start.resolve()) if start else None
        values["train"]["seed"] = self.seed
        if not self.techniques:
            values["technique"]["active"] = []
        (folder / "params.yaml").write_text(yaml_text(values), encoding="utf-8")


def ordered(sentences: list[Sentence], rare: str, seed: int) -> list[Sentence]:
    """The sentences in random order, those with a mention of the type `rare` in the first half; without documents."""
    places = np.random.default_rng(seed).permutation(len(sentences)).astype(float)
    for number, sentence in enumerate(sentences):
        if any(span.type == rare for span in spans_from_tags(sentence.tags)):
            places[number] /= 2
    return [replace(sentences[number], document=None) for number in np.argsort(places, kind="stable")]


def run(stage: str, folder: Path) -> None:
    """Raises FpplmError, with the end of its output, if the stage fails."""
    command = [sys.executable, "-m", f"tasks.{stage}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FpplmError(f"{stage} failed", where=str(folder), got=done.stderr[-1000:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=list(CORPORA))
    parser.add_argument("--arm", action="append", choices=ARMS)
    parser.add_argument("--nights", type=int, default=NIGHTS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--techniques", action="store_true")
    given = parser.parse_args()
    for seed in range(1, given.seeds + 1):
        for name in given.names:
            study = Study(given.folder / name, seed, given.techniques)
            for arm in given.arm or ARMS:
                study.play(arm, given.nights)


if __name__ == "__main__":
    main()
