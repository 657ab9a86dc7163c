"""The data and the result of one run of an ablation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fpplm.pipeline.paths import METRICS, PREDICTIONS
from fpplm.studies.ablation import Run
from fpplm_core.data.records import Sentence
from fpplm_core.tagging.spans import lenient_spans, to_tags, types_of


def spread(sentences: list[Sentence], number: int | None) -> list[Sentence]:
    """This many sentences, evenly from the first to the last."""
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
        for span in lenient_spans(sentence.tags):
            kind: str | None = span.type
            if random.random() < share:
                kind = random.choice([other for other in types if other != span.type])
            if kind is not None:
                kept.append(span._replace(type=kind))
        changed.append(replace(sentence, tags=tuple(to_tags(kept, len(sentence.words), "IOB2"))))
    return changed


def result(run: Run, folder: Path, commit: str | None) -> dict[str, Any]:
    """One line of the ledger: where it stands, its scores, and tp, fp, fn of every test sentence."""
    scores = json.loads((folder / METRICS / "evaluate.json").read_text(encoding="utf-8"))
    trained = json.loads((folder / METRICS / "train.json").read_text(encoding="utf-8"))
    lines = (folder / PREDICTIONS / "test.jsonl").read_text(encoding="utf-8").splitlines()
    counts = [[row["tp"], row["fp"], row["fn"]] for row in map(json.loads, lines)]
    keys = ("f1", "precision", "recall", "seen_f1", "unseen_f1", "illegal_paths", "calibration_error")
    return {
        "key": run.key,
        "code": run.code,
        "commit": commit,
        "corpus": run.corpus,
        "arm": run.arm,
        "seed": run.seed,
        "dev_f1": trained["dev_f1"],
        "test": {key: scores["test"][key] for key in keys},
        "counts": counts,
    }
