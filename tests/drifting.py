"""A tiny bundle with a sketch of its training data, and texts like these or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fpplm_core.data.records import Sentence
from fpplm_core.export.bundle_writer import seal
from fpplm_core.export.reference import reference_sketch
from fpplm_core.serving import Predictor
from tests.hostile_bundles.tiny import write_tiny_bundle

WORDS = ("London", "Paris", "is", "in", "the", "a", "old", "town", ".")
OTHERS = ("LONDON", "ΠΑΡΙΣΙ", "IS", "3", "!!")


def lines(number: int, seed: int, share: float = 0.0) -> list[str]:
    """Texts of one to nine words; `share` of the texts have other words."""
    random = np.random.default_rng(seed)
    return [
        " ".join(random.choice(OTHERS if random.random() < share else WORDS, random.integers(1, 10)))
        for _ in range(number)
    ]


def write_bundle(folder: Path) -> Path:
    write_tiny_bundle(folder, label_lm=None)

    def sentences(seed: int) -> list[Sentence]:
        rows = [tuple(line.split()) for line in lines(600, seed)]
        return [Sentence(row, ("O",) * len(row), "x", tuple(range(1, len(row) + 1))) for row in rows]

    reference = reference_sketch(Predictor.load(folder, "cpu"), [sentences(1)], [sentences(2)], [sentences(3)])
    (folder / "sketch.json").write_text(reference.as_text(), encoding="utf-8")
    seal(folder, {"scores": {}})
    return folder
