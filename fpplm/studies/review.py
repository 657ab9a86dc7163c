"""Finds probable annotation errors: words whose label contradicts a tagger that has not seen them, by cleanlab.

The trained tagger judges dev and test. Train, which it has memorised, is judged in cross-validation by taggers trained
on the rest of it, in whole documents if they are marked. Confident learning compares a word's given type with its
predicted probabilities (Northcutt et al. 2021; for tokens, Wang and Mueller 2022). This is not a stage of dvc.yaml,
because the list is not needed after every run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpplm.pipeline.parent import WATCHED
from fpplm.pipeline.paths import CORPUS, MODEL, PARAMS, PREDICTIONS, REPORTS, SCRATCH
from fpplm_core.data.corpus import load_corpus, write_corpus
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError, FpplmError
from fpplm_core.escaping import printable
from fpplm_core.evaluation.predictions import read_predictions
from fpplm_core.files import read_json, write_json, write_text
from fpplm_core.model.blueprint import read_blueprint
from fpplm_core.params import Params, load
from fpplm_core.settings import yaml_text
from fpplm_core.tagging.schemes import OUTSIDE, split_tag
from fpplm_core.tagging.spans import spans_from_tags
from fpplm_core.tagging.viterbi import softmax

OUTPUT = REPORTS / "review.jsonl"
STAGES = ("encode", "train", "evaluate")  # run for each fold of the cross-validation


class Doubt(NamedTuple):
    """Neighbouring words with the same given and likelier type; `score` is the given type's lowest probability."""

    place: str
    words: str
    given: str
    likelier: str
    score: float
    sentence: str


def review(folds: int) -> list[Doubt]:
    """The doubtful words of dev and test, and of train if there are folds (0, or >= 2), most doubtful first.

    Also writes them to reports/review.jsonl. Raises DataError if nothing has been trained yet, if dev or test have
    changed since, or if train is one document, which leaves nothing to train on.
    """
    settings = load()
    doubts, labels = list[Doubt](), read_blueprint(MODEL).labels
    for split in ("dev", "test"):
        sentences = load_corpus(split, CORPUS)
        if [row.words for row in read_predictions(PREDICTIONS / f"{split}.jsonl")] != [s.words for s in sentences]:
            do = "run: fpplm retrain"
            raise DataError("the last run has tagged other sentences", where=f"{PREDICTIONS / split}.jsonl", do=do)
        doubts += doubtful(sentences, PREDICTIONS / f"{split}_logits.npy", labels)
    train = load_corpus("train", CORPUS) if folds else []
    part = fold_of(train, folds)
    if len(set(part)) == 1:
        raise DataError(
            "train is one document, which cannot be split into folds", where=train[0].file, do="use --folds 0"
        )
    for number in sorted(set(part)):
        folder = SCRATCH / "review" / f"{number}"
        held = [s for s, own in zip(train, part, strict=True) if own == number]
        train_without(folder, [s for s, own in zip(train, part, strict=True) if own != number], held, settings)
        doubts += doubtful(held, folder / PREDICTIONS / "test_logits.npy", read_blueprint(folder / MODEL).labels)
        shutil.rmtree(folder)
    doubts.sort(key=lambda doubt: doubt.score)
    write_text(OUTPUT, "".join(json.dumps(doubt._asdict(), ensure_ascii=False) + "\n" for doubt in doubts))
    return doubts


def fold_of(sentences: Sequence[Sentence], folds: int) -> list[int]:
    """The fold of each sentence: documents, or sentences if none are marked, are assigned to folds in turn."""
    units: dict[tuple[str, int], int] = {}
    keys = [(s.file, -1 - i if s.document is None else s.document) for i, s in enumerate(sentences)]
    return [units.setdefault(key, len(units)) % folds for key in keys]


def train_without(folder: Path, train: Sequence[Sentence], held: Sequence[Sentence], settings: Params) -> None:
    """Trains without techniques on a part of the corpus, in its own folder, and tags the rest as its test split.

    Raises FpplmError if a stage fails, with the end of its output.
    """
    shutil.rmtree(folder, ignore_errors=True)
    write_corpus(folder / CORPUS / "train.parquet", train)
    write_corpus(folder / CORPUS / "dev.parquet", load_corpus("dev", CORPUS))
    write_corpus(folder / CORPUS / "test.parquet", held)
    write_json(folder / CORPUS / "corpus.json", read_json(CORPUS / "corpus.json"))
    values = settings.model_dump()
    values["technique"]["active"] = []
    values["model"]["start"] = None  # it may have learned from the held-out sentences
    if (encoder := Path(settings.model.encoder)).is_dir():
        values["model"]["encoder"] = str(encoder.resolve())
    (folder / PARAMS).write_text(yaml_text(values), encoding="utf-8")
    environment = {**os.environ, WATCHED: str(os.getpid()), "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    for stage in STAGES:
        command = [sys.executable, "-m", f"tasks.{stage}"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FpplmError(f"{stage} failed in a fold of the review", where=str(folder), got=done.stderr[-500:])


def doubtful(sentences: Sequence[Sentence], logits: Path, labels: Sequence[str]) -> list[Doubt]:
    """The words whose given type is probably wrong, according to a tagger's logits (words, K) in a file."""
    from cleanlab.token_classification.filter import find_label_issues

    types, chances = by_type(softmax(np.load(logits)), labels)
    index = {kind: number for number, kind in enumerate(types)}
    given = [types_of_words(s) for s in sentences]
    known = [[kind in index for kind in row] for row in given]  # a type that train lacks has no probability
    rows = np.split(chances, np.cumsum([len(row) for row in given])[:-1])
    numbers = [[index.get(kind, 0) for kind in row] for row in given]
    if len({number for row in numbers for number in row}) < 2:
        return []  # confident learning compares types
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that it may miss errors of rare types
        issues = find_label_issues(numbers, list(rows), return_indices_ranked_by="self_confidence", n_jobs=1)
    found: dict[int, list[int]] = {}
    for sentence, word in issues:
        if known[sentence][word]:
            found.setdefault(int(sentence), []).append(int(word))
    doubts: list[Doubt] = []
    for number, words in found.items():
        doubts += grouped(sentences[number], sorted(words), given[number], rows[number], types)
    return doubts


def by_type(chances: NDArray[np.float32], labels: Sequence[str]) -> tuple[list[str], NDArray[np.float32]]:
    """The types, O first, and each word's chance (words, types) to be inside one: B, I, E and S together."""
    kinds = [split_tag(label)[1] or OUTSIDE for label in labels]
    types = list(dict.fromkeys(kinds))
    columns = [chances[:, [kind == own for own in kinds]].sum(axis=1) for kind in types]
    return types, np.stack(columns, axis=1)


def types_of_words(sentence: Sentence) -> list[str]:
    kinds = [OUTSIDE] * len(sentence.words)
    for start, end, kind in spans_from_tags(sentence.tags):
        kinds[start:end] = [kind] * (end - start)
    return kinds


def grouped(
    sentence: Sentence, words: Sequence[int], given: Sequence[str], chances: NDArray[np.float32], types: Sequence[str]
) -> Iterator[Doubt]:
    """One doubt for neighbours with the same given and the same likelier type."""
    likelier = [types[number] for number in chances.argmax(axis=1)]
    runs = groupby(enumerate(words), key=lambda pair: (pair[1] - pair[0], given[pair[1]], likelier[pair[1]]))
    for (_, wrong, right), run in runs:
        places = [word for _, word in run]
        score = min(float(chances[word, types.index(wrong)]) for word in places)
        text = " ".join(sentence.words[places[0] : places[-1] + 1])
        yield Doubt(sentence.place_of(places[0]), text, wrong, right, round(score, 4), " ".join(sentence.words))


def lines(doubts: Sequence[Doubt], shown: int) -> Iterator[str]:
    """One line for each of the first doubts."""
    for doubt in doubts[:shown]:
        yield printable(
            f"{doubt.score:.3f}  {doubt.place}: {doubt.words!r} is {doubt.given}, likelier {doubt.likelier}"
        )
    if len(doubts) > shown:
        yield f"… and {len(doubts) - shown} more in {OUTPUT}"
